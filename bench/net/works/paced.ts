/** Datagrams at a steady rate: loss, jitter and reordering, by iperf3. */
import type { CpuUse } from '../meter.ts';
import {
  freshPort,
  GRACE_MS,
  type Measured,
  parseJson,
  type Stand,
  type Work,
  type WorkContext,
} from './work.ts';

const BYTES = 1400;
const RATES_MBIT = [100, 500, 1000];

export interface IperfUdp {
  error?: string;
  end: { sum: { jitter_ms: number; lost_packets: number; packets: number; seconds: number } };
}

/** Jitter as in RFC 3550; what is lost is the receiver's count. */
export function udpValues({ end }: IperfUdp, cpu: CpuUse): Record<string, number> {
  const { jitter_ms: jitter, lost_packets: lost, packets, seconds } = end.sum;
  const delivered = packets - lost;
  return {
    jitterUs: jitter * 1000,
    lossPct: packets === 0 ? 0 : (100 * lost) / packets,
    sentPerSecond: packets / seconds,
    deliveredPerSecond: delivered / seconds,
    ...cpu,
    ...(delivered > 0 && { cpuSecondsPerMpackets: (cpu.cpuSeconds / delivered) * 1e6 }),
  };
}

async function measure(stand: Stand, context: WorkContext, mbit: number): Promise<Measured> {
  const { rig, meter } = stand;
  const port = freshPort();
  const server = meter.spawn(rig.to, 'iperf3', ['-s', '-1', '-p', port, '--forceflush']);
  try {
    await server.waitForOutput(/listening/, GRACE_MS);
    const target = ['-c', rig.to.address, '-p', port, '-u', '-l', `${BYTES}`, '-J'];
    const pace = ['-b', `${mbit}M`, '--pacing-timer', '100', '-t', `${context.seconds}`];
    const { done, cpu } = await meter.cpuOf(() =>
      meter.exec(rig.from, 'iperf3', [...target, ...pace], {
        allowFailure: true,
        timeoutMs: context.seconds * 1000 + GRACE_MS,
      }),
    );
    const report = parseJson<IperfUdp>('iperf3', done.stdout || done.stderr);
    if (report.error !== undefined) throw new Error(`iperf3: ${report.error}`);
    return { values: udpValues(report, cpu) };
  } finally {
    await server.kill();
  }
}

function pacedWork(mbit: number): Work {
  return {
    id: `udp-${mbit}m`,
    label: `jitter of UDP at ${mbit} Mbit/s, ${BYTES} bytes`,
    metric: 'jitterUs',
    unit: 'µs',
    better: 'lower',
    loss: { metric: 'lossPct', unit: '% lost' },
    cost: { metric: 'cpuSecondsPerMpackets', unit: 'CPU-s/Mpacket' },
    quick: false,
    main: false,
    run: (stand, context) => measure(stand, context, mbit),
  };
}

export const pacedWorks: Work[] = RATES_MBIT.map(pacedWork);
