/** Traffic between pods: ping and iperf3 here, content-checked transfers in transfer.ts. */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../src/shared/errors.ts';
import type { Pod } from './pod.ts';
import { type PingResult, parseIperf, parsePing, type TcpResult } from './traffic-output.ts';

/** What a busy machine may need besides. */
const PATIENCE_MS = 10_000;

export interface PingOptions {
  family?: 4 | 6;
  /** default 10 */
  count?: number;
  /** default 20 ms */
  intervalMs?: number;
  /** ICMP payload; default ping's own 56 */
  size?: number;
  /** set DF and never fragment */
  dontFragment?: boolean;
  /** how long to wait for the last answer; default 1 s */
  waitMs?: number;
}

/** Pings one pod from another. */
export async function ping(from: Pod, to: Pod, options: PingOptions = {}): Promise<PingResult> {
  const { family = 4, count = 10, intervalMs = 20, waitMs = 1000 } = options;
  const args = [
    `-${family}`,
    '-n',
    '-c',
    String(count),
    '-i',
    String(intervalMs / 1000),
    '-W',
    String(waitMs / 1000),
  ];
  // Once ping has had an answer it waits for the last ones no longer than twice the longest round trip: too short on a busy machine.
  // With a deadline it goes on until it has as many answers as asked for, or the deadline comes.
  const lastsMs = count * intervalMs + waitMs;
  if (count > 1) args.push('-w', String(Math.ceil((lastsMs + PATIENCE_MS) / 1000)));
  if (options.size !== undefined) args.push('-s', String(options.size));
  if (options.dontFragment) args.push('-M', 'do');
  const timeoutMs = lastsMs + 2 * PATIENCE_MS;
  const done = await from.namespace.exec('ping', [...args, to.address(family)], {
    allowFailure: true,
    timeoutMs,
  });
  if (!done.stdout.includes('transmitted'))
    throw new Error(`ping did not run: ${done.stderr.trim()}`);
  return parsePing(done.stdout, count);
}

export interface TcpOptions {
  family?: 4 | 6;
  /** default 1 */
  seconds?: number;
  /** seconds at the start that don't count; default 0 */
  omitSeconds?: number;
  /** parallel streams; default 1 */
  streams?: number;
  port?: number;
}

/** TCP throughput by iperf3, `from` sends. The server serves this one run and is gone afterwards. */
export async function tcpThroughput(
  from: Pod,
  to: Pod,
  options: TcpOptions = {},
): Promise<TcpResult> {
  const port = String(options.port ?? 5201);
  const server = to.namespace.spawn('iperf3', ['-s', '-1', '-p', port]);
  try {
    return await runClient(from, clientArgs(to, port, options), options);
  } finally {
    await server.kill();
  }
}

function clientArgs(to: Pod, port: string, options: TcpOptions): string[] {
  const { family = 4, seconds = 1, omitSeconds = 0, streams = 1 } = options;
  const target = ['-c', to.address(family), '-p', port, '--connect-timeout', '2000'];
  return [...target, '-t', String(seconds), '-O', String(omitSeconds), '-P', String(streams), '-J'];
}

/** The server needs a moment to listen; a refused connection is tried again, anything else is not. */
async function runClient(from: Pod, args: string[], options: TcpOptions): Promise<TcpResult> {
  const timeoutMs = ((options.seconds ?? 1) + (options.omitSeconds ?? 0)) * 1000 + 10_000;
  const deadline = Date.now() + 3000;
  for (;;) {
    const done = await from.namespace.exec('iperf3', args, { allowFailure: true, timeoutMs });
    try {
      return parseIperf(done.stdout);
    } catch (error) {
      if (!/refused/i.test(messageOf(error)) || Date.now() > deadline) throw error;
    }
    await sleep(30);
  }
}
