/**
 * npm run bench:heal: how long pods are silent when somebody takes a device, an address, routes or rules away from a running node, or
 * its underlay's link flaps. 1,000 numbered packets a second both ways between two nodes in namespaces; needs root.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { HOST_FAULTS, type HostFault } from '../../lab/host-faults.ts';
import { Lab } from '../../lab/lab.ts';
import { NumberedStream } from '../../lab/numbered-udp.ts';
import { Progress } from '../../lab/progress.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import { EXIT, messageOf, WeftError } from '../../src/shared/errors.ts';

const HELP = `npm run bench:heal -- [--rounds N] [--json]

Does each of these to a node while its pods talk, N times (default 5), and prints how long they were silent:
${HOST_FAULTS.map(({ name }) => `  ${name}`).join('\n')}
`;
const ROUNDS_MAX = 100;
/** before and after a fault */
const CALM_MS = 1_000;
const HEALED_MS = 4_000;

/** Of one fault, one number a round; the longer of the two directions. */
interface Figures {
  fault: string;
  /** longest silence, less the time that the fault itself lasts */
  silentMs: number[];
  lostPackets: number[];
}

async function measure(lab: Lab, fault: HostFault): Promise<{ silentMs: number; lost: number }> {
  const [there, back] = [lab.pod(0), lab.pod(1)];
  const streams = [
    await NumberedStream.start(there, back),
    await NumberedStream.start(back, there, { port: 7004 }),
  ];
  await sleep(CALM_MS);
  await fault.happen(lab.weftNodes[0] as WeftNode);
  await sleep(HEALED_MS);
  const results = [];
  for (const stream of streams) results.push(await stream.stop());
  return {
    silentMs: Math.max(...results.map(({ longestGapMs }) => longestGapMs)) - fault.lastsMs,
    lost: Math.max(...results.map(({ lost }) => lost)),
  };
}

async function measureAll(rounds: number, onStep: (text: string) => void): Promise<Figures[]> {
  onStep('building two nodes');
  const lab = await Lab.build({
    nodes: [{ kind: 'weft' }, { kind: 'weft' }],
    flags: ['--ip-masq'],
  });
  try {
    const all: Figures[] = [];
    for (const fault of HOST_FAULTS) {
      const figures: Figures = { fault: fault.name, silentMs: [], lostPackets: [] };
      await fault.prepare?.(lab.weftNodes[0] as WeftNode);
      for (let round = 1; round <= rounds; round++) {
        onStep(`${fault.name}, round ${round} of ${rounds}`);
        const { silentMs, lost } = await measure(lab, fault);
        figures.silentMs.push(Math.round(silentMs));
        figures.lostPackets.push(lost);
      }
      all.push(figures);
    }
    return all;
  } finally {
    await lab.close();
  }
}

function render(all: readonly Figures[], rounds: number): string {
  const width = Math.max(...all.map(({ fault }) => fault.length));
  const spread = (numbers: readonly number[]): string => {
    const sorted = [...numbers].sort((a, b) => a - b);
    return `${sorted[sorted.length >> 1]} (${sorted[0]}-${sorted.at(-1)})`;
  };
  const line = (fault: string, silent: string, lost: string): string =>
    `${fault.padEnd(width)}  ${silent.padEnd(16)}  ${lost}`;
  return [
    `median (least-greatest) of ${rounds} rounds, the longer of both directions at 1,000 packets/s`,
    line('what happened', 'silent ms', 'packets lost'),
    ...all.map(({ fault, silentMs, lostPackets }) =>
      line(fault, spread(silentMs), spread(lostPackets)),
    ),
  ].join('\n');
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '5' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return void process.stdout.write(HELP);
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > ROUNDS_MAX)
    throw new WeftError(
      'ERR_USAGE',
      EXIT.usage,
      `--rounds ${values.rounds}: not 1 to ${ROUNDS_MAX}`,
    );
  const progress = new Progress();
  const all = await measureAll(rounds, (text) => progress.step(text));
  progress.clear();
  process.stdout.write(
    `${values.json ? JSON.stringify({ rounds, faults: all }) : render(all, rounds)}\n`,
  );
}

main().catch((error) => {
  process.stderr.write(`bench:heal: ${messageOf(error)}\n`);
  process.exitCode = error instanceof WeftError ? error.exitCode : EXIT.failure;
});
