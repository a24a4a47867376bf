/** TCP throughput: iperf3. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Endpoint } from '../planes/plane.ts';
import {
  freshPort,
  GRACE_MS,
  type Measured,
  parseJson,
  READY_MS,
  type Stand,
  type Work,
  type WorkContext,
} from './work.ts';

export interface IperfReport {
  error?: string;
  end: {
    sum_received: { bits_per_second: number; bytes: number };
    sum_sent: { retransmits?: number };
  };
}

interface TcpSpec {
  streams: number;
  reverse?: boolean;
  /** default: that of the session */
  congestion?: string;
  quick?: boolean;
  main?: boolean;
}

async function measure(stand: Stand, context: WorkContext, spec: TcpSpec): Promise<Measured> {
  const { rig, meter } = stand;
  const { seconds, warmupSeconds } = context;
  const port = freshPort();
  const server = meter.spawn(rig.to, 'iperf3', ['-s', '-1', '-p', port]);
  try {
    const load = ['-t', `${seconds}`, '-O', `${warmupSeconds}`, '-P', `${spec.streams}`];
    const control = ['-C', spec.congestion ?? context.congestion];
    const target = ['-c', rig.to.address, '-p', port, '--connect-timeout', '3000', ...control];
    const args = [...target, ...load, ...(spec.reverse ? ['-R'] : []), '-J'];
    const { done, cpu } = await meter.cpuOf(() =>
      iperf(stand, rig.from, args, seconds + warmupSeconds),
    );
    const { bits_per_second: bits } = done.end.sum_received;
    // The warm-up costs processor time as well; its bytes are not reported, so they are put at the measured rate.
    const gigabytes = ((bits / 8) * (seconds + warmupSeconds)) / 1e9;
    const retransmits = done.end.sum_sent.retransmits ?? 0;
    return {
      values: {
        gbps: bits / 1e9,
        retransmits,
        // iperf3 counts the retransmissions of the measured time only.
        retransmitsPerGb: retransmits / ((bits / 8) * seconds * 1e-9),
        ...cpu,
        cpuSecondsPerGb: cpu.cpuSeconds / gigabytes,
      },
    };
  } finally {
    await server.kill();
  }
}

/** A server that does not listen yet is tried again. */
async function iperf(
  { meter }: Stand,
  from: Endpoint,
  args: string[],
  seconds: number,
): Promise<IperfReport> {
  const deadline = Date.now() + READY_MS;
  for (;;) {
    const options = { allowFailure: true, timeoutMs: seconds * 1000 + GRACE_MS };
    const { stdout, stderr } = await meter.exec(from, 'iperf3', args, options);
    const report = parseJson<IperfReport>('iperf3', stdout || stderr);
    if (report.error === undefined) return report;
    if (!/refused/i.test(report.error) || Date.now() > deadline)
      throw new Error(`iperf3: ${report.error}`);
    await sleep(30);
  }
}

function tcpWork(spec: TcpSpec): Work {
  const { streams, reverse = false, congestion, quick = false, main = false } = spec;
  const notes = [reverse && 'reverse', congestion?.toUpperCase()].filter(Boolean);
  return {
    id: `tcp${streams}${reverse ? 'r' : ''}${congestion ? `-${congestion}` : ''}`,
    label: [`TCP, ${streams} stream${streams > 1 ? 's' : ''}`, ...notes].join(', '),
    metric: 'gbps',
    unit: 'Gbit/s',
    better: 'higher',
    loss: { metric: 'retransmitsPerGb', unit: 'retransmits/GB' },
    cost: { metric: 'cpuSecondsPerGb', unit: 'CPU-s/GB' },
    ...(congestion !== undefined && { congestion }),
    quick,
    main,
    run: (stand, context) => measure(stand, context, spec),
  };
}

export const tcpWorks: Work[] = [
  tcpWork({ streams: 1, quick: true, main: true }),
  tcpWork({ streams: 4, quick: true, main: true }),
  tcpWork({ streams: 1, congestion: 'bbr', quick: true }),
  tcpWork({ streams: 4, congestion: 'bbr' }),
  tcpWork({ streams: 1, reverse: true }),
  tcpWork({ streams: 4, reverse: true }),
  tcpWork({ streams: 16 }),
];
