/** weft ping: one peer, or all by all. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import * as z from 'zod';
import { type ReachPage, reachShape } from '../../api/reach.ts';
import { findPeer } from '../link-test/find-peer.ts';
import { namedPeersShape, upShape } from '../pages.ts';
import {
  type Echoes,
  echoesShape,
  renderEcho,
  renderEchoes,
  renderStart,
  sendEchoes,
} from '../ping/echoes.ts';
import { renderMatrix } from '../ping/matrix.ts';
import { fetchEcho, fetchReach } from '../ping/page.ts';
import { renderSweep, type Sweep, sweep, sweepShape } from '../ping/sweep.ts';
import { addShow, fetchShape, type OnExit, type ShowOptions } from '../show.ts';
import { chooseStyle, type Style } from '../style.ts';

const TIMEOUT_MS = 1_000;
/** While sizes are searched most losses are for good. */
const SWEEP_TIMEOUT_MS = 400;

const HELP = `
PEER is a node's name in Kubernetes, a lease key, a subnet, a public address or any address inside the peer's subnet.
Echoes leave from the overlay's device through the real encapsulation; the peer's kernel answers, stock flannel nodes too.
Exit codes: 0 all answered, 1 a loss or a cut, 2 the daemon is not reachable.`;

const pingShape = z.union([reachShape, sweepShape, echoesShape]);
type Answer = z.infer<typeof pingShape>;

interface PingOptions {
  all?: boolean;
  sweep?: boolean;
  count: number;
  interval: number;
  size: number;
  family?: 4 | 6;
}
type Options = ShowOptions & PingOptions;

export function addPing(program: Command, onExit: OnExit): void {
  addShow<typeof pingShape, PingOptions>(program, onExit, {
    name: 'ping',
    description: 'echoes to a peer through the overlay, or who reaches whom',
    argument: ['[peer]', 'the node to reach'],
    options: addOptions,
    help: HELP,
    shape: pingShape,
    answer: (options, peer) =>
      peer === undefined ? fetchReach(options.adminSocket) : answerOf(options, peer),
    render: renderAnswer,
    exitCode: (answer) => (isGood(answer) ? 0 : 1),
  });
}

function addOptions(command: Command): Command {
  return command
    .option('--all', 'the matrix of all nodes, with each cut by name')
    .option('-c, --count <count>', 'echoes to send, 0 = until interrupted', inRange(0, 1e6, 1), 5)
    .option('-i, --interval <seconds>', 'time between echoes', inRange(0.01, 3600, 0.01), 1)
    .option('-s, --size <bytes>', 'bytes behind the ICMP header', inRange(8, 65_507, 1), 56)
    .option('--sweep', 'find the largest packet that crosses')
    .addOption(
      new Option('--family <family>', 'IPv4 unless the peer has none')
        .choices(['4', '6'])
        .argParser(parseFamily),
    )
    .hook('preAction', (self) => {
      const hasPeer = self.args.length > 0;
      if (hasPeer === (self.opts<Options>().all === true))
        self.error('error: give either PEER or --all');
    });
}

async function answerOf(options: Options, text: string): Promise<Echoes | Sweep> {
  const { adminSocket } = options;
  const page = await fetchShape(adminSocket, '/peers', namedPeersShape);
  const { key, family } = findPeer(page, text, options.family);
  if (!options.sweep) return echoesOf(options, key, family);
  const { backend, node } = await fetchShape(
    adminSocket,
    '/status',
    upShape.pick({ backend: true, node: true }),
  );
  return sweep(backend, node.interface, (size) =>
    fetchEcho(adminSocket, { key, family, size, timeoutMs: SWEEP_TIMEOUT_MS }),
  );
}

/** Says each echo as it ends, unless it is for a program. */
async function echoesOf(options: Options, key: string, family: 4 | 6): Promise<Echoes> {
  const { adminSocket, count, size, interval } = options;
  const abort = new AbortController();
  const onSignal = (): void => abort.abort();
  process.once('SIGINT', onSignal);
  const style = chooseStyle(options.color, process.stdout);
  const say = (line: string): void => {
    if (!options.json) process.stdout.write(`${line}\n`);
  };
  try {
    return await sendEchoes({
      count,
      size,
      intervalMs: interval * 1000,
      signal: abort.signal,
      send: () => fetchEcho(adminSocket, { key, family, size, timeoutMs: TIMEOUT_MS }),
      onEcho: (echo, sequence, page) => {
        if (sequence === 1) say(renderStart(page, size));
        say(renderEcho(echo, sequence, page.peer.address, style));
      },
    });
  } finally {
    process.off('SIGINT', onSignal);
  }
}

function renderAnswer(answer: Answer, style: Style): string {
  if ('cells' in answer) return renderMatrix(answer as ReachPage, style);
  if ('largestPacketBytes' in answer) return renderSweep(answer as Sweep, style);
  return renderEchoes(answer as Echoes, style);
}

function isGood(answer: Answer): boolean {
  if ('cells' in answer) return (answer as ReachPage).cells.every(({ state }) => state !== 'lost');
  if ('largestPacketBytes' in answer) return (answer as Sweep).fits === true;
  const { sent, received } = answer as Echoes;
  return sent === received;
}

function inRange(min: number, max: number, step: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    const isWhole = step < 1 || Number.isInteger(value);
    if (/^\d+(\.\d+)?$/.test(text) && value >= min && value <= max && isWhole) return value;
    throw new InvalidArgumentError(`It must be from ${min} to ${max}.`);
  };
}

function parseFamily(text: string): 4 | 6 {
  if (text === '4' || text === '6') return text === '4' ? 4 : 6;
  throw new InvalidArgumentError('It must be 4 or 6.');
}
