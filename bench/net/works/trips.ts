/** Round trips: alone, beside other traffic, many at once, and connections. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { LabProcess } from '../../../lab/process.ts';
import type { CpuUse } from '../meter.ts';
import { percentileUs } from '../statistics.ts';
import {
  freshPort,
  type Measured,
  runTool,
  type Stand,
  startTool,
  type Work,
  type WorkContext,
} from './work.ts';

const BYTES = 64;
const CLIENTS = 32;
/** Of the bounded stream; every kernel overlay and weft carry it, most one-packet overlays are saturated by it. */
const BOUNDED_RATE = '300M';

interface Latencies {
  samples: number;
  lost: number;
  elapsedNs: number;
  totalNs: number;
  maxNs: number;
  /** [upper bound in ns, count], ascending */
  histogram: [number, number][];
}

function measuredOf(found: Latencies, cpu: CpuUse): Measured {
  const { histogram, samples, lost } = found;
  // Nothing came through: that is a result, without a time.
  if (samples === 0) return { values: { lost, lossPct: 100, ...cpu } };
  return {
    values: {
      p50Us: percentileUs(histogram, 0.5),
      p99Us: percentileUs(histogram, 0.99),
      p999Us: percentileUs(histogram, 0.999),
      maxUs: found.maxNs / 1000,
      meanUs: found.totalNs / samples / 1000,
      perSecond: samples / (found.elapsedNs / 1e9),
      lost,
      lossPct: (100 * lost) / (samples + lost),
      ...cpu,
      cpuUsPerTrip: (cpu.cpuSeconds * 1e6) / samples,
    },
    histogram: histogram.map(([boundNs, count]) => [boundNs / 1000, count]),
  };
}

/** `server` and `client`: what the traffic tool is told besides address and port. */
async function ask(
  stand: Stand,
  context: WorkContext,
  server: string,
  client: readonly [string, ...string[]],
): Promise<Measured> {
  const port = freshPort();
  const answering = await startTool(stand, context, [server, port]);
  try {
    const [kind, ...rest] = client;
    const { done, cpu } = await stand.meter.cpuOf(() =>
      runTool(stand, context, [kind, stand.rig.to.address, port, ...rest], context.seconds),
    );
    return measuredOf(done as unknown as Latencies, cpu);
  } finally {
    await answering.kill();
  }
}

const pingpong = (stand: Stand, context: WorkContext): Promise<Measured> =>
  ask(stand, context, 'echo', ['pingpong', `${BYTES}`, `${context.seconds}`]);

const crowd = (stand: Stand, context: WorkContext): Promise<Measured> =>
  ask(stand, context, 'echo', ['crowd', `${BYTES}`, `${context.seconds}`, `${CLIENTS}`]);

const connections = (stand: Stand, context: WorkContext): Promise<Measured> =>
  ask(stand, context, 'accept', ['connect', `${context.seconds}`]);

/** A load runs until it is killed; its time is longer than the round trips'. */
type Load = (stand: Stand, context: WorkContext, seconds: number) => Promise<LabProcess[]>;

/** `rate`: iperf3's, such as 300M; 0 = as fast as they can. */
function streams(count: number, rate: string): Load {
  return async ({ rig, meter }, { congestion }, seconds) => {
    const port = freshPort();
    const server = meter.spawn(rig.to, 'iperf3', ['-s', '-1', '-p', port]);
    await sleep(300);
    const load = ['-t', `${seconds}`, '-P', `${count}`, '-b', rate, '-C', congestion];
    return [server, meter.spawn(rig.from, 'iperf3', ['-c', rig.to.address, '-p', port, ...load])];
  };
}

function datagrams(bytes: number): Load {
  return async (stand, context, seconds) => {
    const port = freshPort();
    const sink = await startTool(stand, context, ['sink', port]);
    const args = ['flood', stand.rig.to.address, port, `${bytes}`, `${seconds}`];
    return [sink, stand.meter.spawn(stand.rig.from, context.tool, args)];
  };
}

/** Round trips while a load runs; what the load costs is in the CPU time. */
async function beside(load: Load, stand: Stand, context: WorkContext): Promise<Measured> {
  const running = await load(stand, context, context.seconds + 3);
  const [, client] = running;
  try {
    await sleep(700);
    if (client?.exit !== undefined)
      throw new Error(`the load ended early (${client.exit}): ${client.lastLines(3)}`);
    return await pingpong(stand, context);
  } finally {
    for (const process of running.reverse()) await process.kill();
  }
}

function tripWork(id: string, label: string, more: Pick<Work, 'run'> & Partial<Work>): Work {
  return {
    id,
    label: `${label}, p50`,
    metric: 'p50Us',
    unit: 'µs',
    tail: 'p99Us',
    better: 'lower',
    loss: { metric: 'lossPct', unit: '% lost' },
    cost: { metric: 'cpuUsPerTrip', unit: 'CPU-µs/trip' },
    quick: false,
    main: false,
    ...more,
  };
}

const trip = `round trip, ${BYTES} bytes`;
const loaded = (id: string, what: string, load: Load): Work =>
  tripWork(id, `${trip}, beside ${what}`, {
    run: (stand, context) => beside(load, stand, context),
  });

export const tripWorks: Work[] = [
  tripWork('rr', `${trip}, idle`, { quick: true, main: true, run: pingpong }),
  loaded('rr-loaded', `a TCP stream of ${BOUNDED_RATE}bit/s`, streams(1, BOUNDED_RATE)),
  loaded('rr-tcp1', '1 TCP stream', streams(1, '0')),
  loaded('rr-tcp4', '4 TCP streams', streams(4, '0')),
  loaded('rr-flood', 'a UDP flood of 1400 bytes', datagrams(1400)),
  tripWork('rr32', `${trip}, ${CLIENTS} clients at once`, { run: crowd }),
  {
    id: 'connect',
    label: 'TCP connections',
    metric: 'perSecond',
    unit: 'connections/s',
    better: 'higher',
    loss: { metric: 'lossPct', unit: '% failed' },
    cost: { metric: 'cpuUsPerTrip', unit: 'CPU-µs/connection' },
    quick: false,
    main: false,
    run: connections,
  },
];
