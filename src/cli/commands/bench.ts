/** weft bench: a test between two nodes, through the overlay and beside it. */
import { randomBytes } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import net from 'node:net';
import os from 'node:os';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { FarEnd } from '../link-test/far-end.ts';
import { findPeer } from '../link-test/find-peer.ts';
import { measureAll, STEPS } from '../link-test/measures.ts';
import { BenchProgress } from '../link-test/progress.ts';
import { BENCH_PORT, BenchError, SECONDS_MAX } from '../link-test/protocol.ts';
import { benchJson, renderBench } from '../link-test/report.ts';
import { BenchServer } from '../link-test/server.ts';
import { judgeMtu } from '../link-test/verdict.ts';
import { namedPeersShape, type UpStatus, upShape } from '../pages.ts';
import { fetchShape } from '../show.ts';

const SERVE_SECONDS = 600;
const SERVE_SECONDS_MAX = 86_400;
/** 128 + SIGINT, as shells have it */
const EXIT_INTERRUPTED = 130;

const HELP = `
On the far node:   weft bench --serve
On this node:      weft bench PEER --token TOKEN
PEER is a lease key, a subnet, a public address or any address inside the peer's subnet.

The streams are moved by one Node process at each end, so the rates are what such a process can move: a lower bound.
"npm run bench:net" measures the data plane itself.`;

interface Options {
  serve?: boolean;
  token?: string;
  port: number;
  for: number;
  seconds: number;
  family?: 4 | 6;
  json?: boolean;
  adminSocket: string;
}

/** Adds the command; `onExit` gets its exit code. */
export function addBench(program: Command, onExit: (code: number) => void): void {
  const command = program
    .command('bench')
    .description('test between two nodes: rate, latency and MTU, through the overlay and directly')
    .argument('[peer]', 'the node to test against')
    .option('--serve', 'be the far end: wait for a test')
    .option('--token <token>', 'what the far end printed')
    .option('--port <port>', 'TCP and UDP port of the far end', inRange(1, 65_535), BENCH_PORT)
    .option(
      '--for <seconds>',
      'with --serve: stop after this many seconds',
      inRange(1, SERVE_SECONDS_MAX),
      SERVE_SECONDS,
    )
    .option('--seconds <seconds>', 'length of each TCP run', inRange(0.1, SECONDS_MAX, 0.1), 2)
    .addOption(
      new Option('--family <family>', 'IPv4 unless the peer has none')
        .choices(['4', '6'])
        .argParser(parseFamily),
    )
    .option('--json', 'one JSON object')
    .option('--admin-socket <path>', "the daemon's socket", '/run/weft/weft.sock')
    .addHelpText('after', HELP)
    .exitOverride();
  command.action(async (peer: string | undefined, options: Options) => {
    if ((peer !== undefined) === (options.serve === true))
      command.error('error: give either PEER or --serve');
    if (peer !== undefined && !options.token)
      command.error('error: --token is missing; "weft bench --serve" on the far node prints it');
    const abort = new AbortController();
    // Every connection of the test listens to it, more than the ten that Node takes for a leak.
    setMaxListeners(0, abort.signal);
    const onSignal = (): void => abort.abort();
    process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
    try {
      if (peer === undefined) await serve(options, abort.signal);
      else onExit(await test(peer, options, abort.signal));
    } catch (error) {
      if (!abort.signal.aborted) throw error;
      process.stderr.write('weft: interrupted\n');
      onExit(EXIT_INTERRUPTED);
    } finally {
      process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
    }
  });
}

async function serve(options: Options, signal: AbortSignal): Promise<void> {
  const status = await fetchShape(options.adminSocket, '/status', upShape);
  const token = randomBytes(16).toString('hex');
  const say = (text: string): void => void process.stdout.write(`${text}\n`);
  const addresses = listenAddresses(status, os.networkInterfaces());
  const server = new BenchServer({ addresses, port: options.port, token, say });
  await server.start();
  const port = options.port === BENCH_PORT ? '' : ` --port ${options.port}`;
  say(`listening on ${addresses.join(', ')}, port ${options.port}, for ${options.for} s`);
  say(`on the other node: weft bench '${status.lease.key}' --token ${token}${port}`);
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, options.for * 1000);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
  server.close();
}

/** This node's addresses in the underlay and on the overlay's devices; no others, so that nobody else is let in. */
export function listenAddresses(
  status: Pick<UpStatus, 'node' | 'devices'>,
  interfaces: NodeJS.Dict<os.NetworkInterfaceInfo[]>,
): string[] {
  const own = (device: string): string[] =>
    (interfaces[device] ?? [])
      .map((each) => each.address)
      .filter((address) => !/^fe80:/i.test(address));
  const { node, devices } = status;
  const published = [node.publicIp, node.publicIpv6];
  const underlay = own(node.interface);
  // A published address that is not the interface's own is a NAT's: then the interface's first one of the family.
  const chosen = ([4, 6] as const).flatMap((family, i) => {
    const sameFamily = underlay.filter((address) => net.isIP(address) === family);
    if (published[i] === null) return [];
    return sameFamily.includes(published[i] as string)
      ? [published[i] as string]
      : sameFamily.slice(0, 1);
  });
  const all = [...chosen, ...devices.flatMap(({ device }) => own(device))];
  if (all.length > 0) return all;
  throw new BenchError(`neither ${node.interface} nor the overlay's devices have an address here`);
}

/** Exit code 1 when the pods' MTU does not fit the path. */
async function test(text: string, options: Options, signal: AbortSignal): Promise<number> {
  const { adminSocket, token = '', port, seconds } = options;
  const status = await fetchShape(adminSocket, '/status', upShape);
  const page = await fetchShape(adminSocket, '/peers', namedPeersShape);
  const peer = findPeer(page, text, options.family);
  const { underlay, overlay, family } = peer;
  const farEnd = new FarEnd({ address: { underlay, overlay }, family, port, token, signal });
  let progress: BenchProgress | undefined;
  try {
    await farEnd.open();
    progress = new BenchProgress(STEPS);
    const bar = progress;
    const measured = await measureAll(farEnd, seconds, (step) => bar.step(step));
    bar.stop();
    const { backend, mtu: podMtu, node } = status;
    const facts = { family, backend, interface: node.interface, podMtu, ...measured.payload };
    const result = { peer, seconds, podMtu, measured, verdict: judgeMtu(facts) };
    const shown = options.json ? JSON.stringify(benchJson(result)) : renderBench(result);
    process.stdout.write(`${shown}\n`);
    return result.verdict.fits === false ? 1 : 0;
  } finally {
    progress?.stop();
    farEnd.close();
  }
}

/** A number in plain decimal notation; whole unless a smaller step is given. */
function inRange(min: number, max: number, step: 1 | 0.1 = 1): (text: string) => number {
  const notation = step === 1 ? /^\d+$/ : /^\d+(\.\d)?$/;
  return (text) => {
    const value = Number(text);
    if (notation.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be from ${min} to ${max}, in steps of ${step}.`);
  };
}

function parseFamily(text: string): 4 | 6 {
  if (text === '4' || text === '6') return text === '4' ? 4 : 6;
  throw new InvalidArgumentError('It must be 4 or 6.');
}
