/** The kinds of work: what is run between two pods and what is read from it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../src/shared/errors.ts';
import { busySeconds } from './cpu.ts';
import type { Endpoint, Rig } from './planes/plane.ts';
import type { Run, WorkInfo } from './result.ts';

export interface WorkContext {
  seconds: number;
  /** at the start of a TCP run, not counted */
  warmupSeconds: number;
  /** path of the traffic tool */
  tool: string;
  /** TCP congestion control to ask for; undefined = the host's */
  congestion: string | undefined;
}

export type Measured = Pick<Run, 'values' | 'histogram'>;

export interface Work extends WorkInfo {
  /** worth measuring when time is short */
  quick: boolean;
  run(rig: Rig, context: WorkContext): Promise<Measured>;
}

const SETTLE_MS = 100;
const READY_MS = 5_000;
const GRACE_MS = 15_000;
let nextPort = 20_000;

/** A port of its own for every run: what an earlier run left behind can't be in the way. */
function freshPort(): string {
  nextPort = nextPort >= 29_999 ? 20_000 : nextPort + 1;
  return String(nextPort);
}

/** Busy seconds of the machine while `action` runs. */
async function withCpu<T>(action: () => Promise<T>): Promise<{ done: T; cpuSeconds: number }> {
  const before = busySeconds();
  const done = await action();
  return { done, cpuSeconds: busySeconds() - before };
}

// ---- TCP throughput: iperf3 ----

interface IperfReport {
  error?: string;
  end: {
    sum_received: { bits_per_second: number; bytes: number };
    sum_sent: { retransmits?: number };
  };
}

async function tcp(
  rig: Rig,
  context: WorkContext,
  streams: number,
  reverse: boolean,
): Promise<Measured> {
  const { seconds, warmupSeconds } = context;
  const port = freshPort();
  const server = rig.to.namespace.spawn('iperf3', ['-s', '-1', '-p', port]);
  try {
    const load = ['-t', `${seconds}`, '-O', `${warmupSeconds}`, '-P', `${streams}`];
    const control = context.congestion === undefined ? [] : ['-C', context.congestion];
    const target = ['-c', rig.to.address, '-p', port, '--connect-timeout', '3000', ...control];
    const args = [...target, ...load, '-J'];
    const { done, cpuSeconds } = await withCpu(() =>
      iperf(rig.from, reverse ? [...args, '-R'] : args, seconds + warmupSeconds),
    );
    const { bits_per_second: bits } = done.end.sum_received;
    // The warm-up costs processor time as well; its bytes are not reported, so they are put at the measured rate.
    const gigabytes = ((bits / 8) * (seconds + warmupSeconds)) / 1e9;
    return {
      values: {
        gbps: bits / 1e9,
        retransmits: done.end.sum_sent.retransmits ?? 0,
        cpuSeconds,
        cpuSecondsPerGb: cpuSeconds / gigabytes,
      },
    };
  } finally {
    await server.kill();
  }
}

/** A server that does not listen yet is tried again. */
async function iperf(from: Endpoint, args: string[], seconds: number): Promise<IperfReport> {
  const deadline = Date.now() + READY_MS;
  for (;;) {
    const options = { allowFailure: true, timeoutMs: seconds * 1000 + GRACE_MS };
    const { stdout, stderr } = await from.namespace.exec('iperf3', args, options);
    const report = parseJson<IperfReport>('iperf3', stdout || stderr);
    if (report.error === undefined) return report;
    if (!/refused/i.test(report.error) || Date.now() > deadline)
      throw new Error(`iperf3: ${report.error}`);
    await sleep(30);
  }
}

function parseJson<T>(what: string, text: string): T {
  try {
    return JSON.parse(text) as T;
  } catch (error) {
    throw new Error(
      `${what} printed no JSON (${messageOf(error)}): ${JSON.stringify(text.slice(0, 200))}`,
    );
  }
}

// ---- datagram floods ----

async function flood(rig: Rig, context: WorkContext, bytes: number): Promise<Measured> {
  const { tool, seconds } = context;
  const port = freshPort();
  const sink = rig.to.namespace.spawn(tool, ['sink', port]);
  try {
    await sink.waitForOutput(/ready/, READY_MS);
    const args = ['flood', rig.to.address, port, `${bytes}`, `${seconds}`];
    const { done, cpuSeconds } = await withCpu(async () => {
      const run = await runTool(rig.from, tool, args, seconds);
      await sleep(SETTLE_MS); // what is in queues still arrives, and costs time
      return run;
    });
    sink.signal('SIGTERM');
    await sink.waitForEnd(READY_MS);
    const received = Number(/"received":(\d+)/.exec(sink.output)?.[1]);
    const sent = done['sent'] as number;
    const elapsedSeconds = (done['elapsedNs'] as number) / 1e9;
    return {
      values: {
        deliveredPerSecond: received / elapsedSeconds,
        sentPerSecond: sent / elapsedSeconds,
        lossPct: sent === 0 ? 0 : (1 - received / sent) * 100,
        cpuSeconds,
        ...(received > 0 && { cpuSecondsPerMpackets: (cpuSeconds / received) * 1e6 }),
      },
    };
  } finally {
    await sink.kill();
  }
}

async function runTool(
  from: Endpoint,
  tool: string,
  args: string[],
  seconds: number,
): Promise<Record<string, unknown>> {
  const { stdout } = await from.namespace.exec(tool, args, {
    timeoutMs: seconds * 1000 + GRACE_MS,
  });
  return parseJson('traffic', stdout);
}

// ---- request and response ----

const LATENCY_BYTES = 64;

interface Latencies {
  samples: number;
  lost: number;
  elapsedNs: number;
  totalNs: number;
  maxNs: number;
  /** [upper bound in ns, count], ascending */
  histogram: [number, number][];
}

/** Value that `share` of the samples do not exceed, in µs (upper bound of its class, 3 % wide). */
export function percentileUs(
  histogram: readonly (readonly [number, number])[],
  share: number,
): number {
  const total = histogram.reduce((sum, [, count]) => sum + count, 0);
  let seen = 0;
  for (const [boundNs, count] of histogram) {
    seen += count;
    if (seen >= total * share) return boundNs / 1000;
  }
  return 0;
}

function latencyValues(found: Latencies): Measured {
  if (found.samples === 0) throw new Error(`no answer at all, ${found.lost} lost`);
  const { histogram } = found;
  return {
    values: {
      p50Us: percentileUs(histogram, 0.5),
      p99Us: percentileUs(histogram, 0.99),
      p999Us: percentileUs(histogram, 0.999),
      maxUs: found.maxNs / 1000,
      meanUs: found.totalNs / found.samples / 1000,
      perSecond: found.samples / (found.elapsedNs / 1e9),
      lost: found.lost,
    },
    histogram: histogram.map(([boundNs, count]) => [boundNs / 1000, count]),
  };
}

async function pingpong(rig: Rig, context: WorkContext): Promise<Measured> {
  const port = freshPort();
  const server = rig.to.namespace.spawn(context.tool, ['echo', port]);
  try {
    await server.waitForOutput(/ready/, READY_MS);
    const args = ['pingpong', rig.to.address, port, `${LATENCY_BYTES}`, `${context.seconds}`];
    const found = await runTool(rig.from, context.tool, args, context.seconds);
    return latencyValues(found as unknown as Latencies);
  } finally {
    await server.kill();
  }
}

/** Latency while one TCP stream of bounded rate runs beside it: a full stream would only measure its own queue. */
async function pingpongLoaded(rig: Rig, context: WorkContext): Promise<Measured> {
  const port = freshPort();
  const server = rig.to.namespace.spawn('iperf3', ['-s', '-1', '-p', port]);
  const load = ['-t', `${context.seconds + 2}`, '-b', LOAD_RATE];
  await sleep(300);
  const client = rig.from.namespace.spawn('iperf3', ['-c', rig.to.address, '-p', port, ...load]);
  try {
    await sleep(700);
    if (client.exit !== undefined) throw new Error(`iperf3 ended early: ${client.lastLines(3)}`);
    return await pingpong(rig, context);
  } finally {
    await client.kill();
    await server.kill();
  }
}

/** Of the loading stream; every kernel overlay and weft carry it, most one-packet overlays are saturated by it. */
const LOAD_RATE = '300M';

async function connections(rig: Rig, context: WorkContext): Promise<Measured> {
  const port = freshPort();
  const server = rig.to.namespace.spawn(context.tool, ['accept', port]);
  try {
    await server.waitForOutput(/ready/, READY_MS);
    const args = ['connect', rig.to.address, port, `${context.seconds}`];
    const found = await runTool(rig.from, context.tool, args, context.seconds);
    return latencyValues(found as unknown as Latencies);
  } finally {
    await server.kill();
  }
}

// ---- the list ----

function tcpWork(streams: number, reverse: boolean, quick: boolean): Work {
  return {
    id: `tcp${streams}${reverse ? 'r' : ''}`,
    label: `TCP, ${streams} stream${streams > 1 ? 's' : ''}${reverse ? ', reverse' : ''}`,
    metric: 'gbps',
    unit: 'Gbit/s',
    better: 'higher',
    quick,
    run: (rig, context) => tcp(rig, context, streams, reverse),
  };
}

function floodWork(bytes: number, quick: boolean): Work {
  return {
    id: `udp${bytes}`,
    label: `UDP flood, ${bytes} bytes`,
    metric: 'deliveredPerSecond',
    unit: 'packets/s',
    better: 'higher',
    quick,
    run: (rig, context) => flood(rig, context, bytes),
  };
}

export const WORKS: readonly Work[] = [
  tcpWork(1, false, true),
  tcpWork(1, true, false),
  tcpWork(4, false, true),
  tcpWork(4, true, false),
  tcpWork(16, false, false),
  tcpWork(16, true, false),
  floodWork(64, true),
  floodWork(512, false),
  floodWork(1400, false),
  {
    id: 'rr',
    label: 'round trip, 64 bytes, idle',
    metric: 'p50Us',
    unit: 'µs',
    better: 'lower',
    quick: true,
    run: pingpong,
  },
  {
    id: 'rr-loaded',
    label: `round trip, 64 bytes, beside a TCP stream of ${LOAD_RATE}bit/s`,
    metric: 'p50Us',
    unit: 'µs',
    better: 'lower',
    quick: false,
    run: pingpongLoaded,
  },
  {
    id: 'connect',
    label: 'TCP connections',
    metric: 'perSecond',
    unit: 'connections/s',
    better: 'higher',
    quick: false,
    run: connections,
  },
];
