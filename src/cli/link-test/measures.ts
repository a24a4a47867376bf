/** All measurements in order: three short rounds, underlay and overlay in turns, then the MTU of each path. */
import type { FarEnd, Path } from './far-end.ts';
import type { PathResult } from './path-mtu.ts';

export const ROUNDS = 3;
const STREAMS = ['tcpTo', 'tcpFrom'] as const;
const PATHS: readonly Path[] = ['underlay', 'overlay'];

/** Values of all rounds, beside and through the overlay. */
export type Pair = Record<Path, number[]>;
export interface Measured {
  /** Mbit/s */
  tcpTo: Pair;
  tcpFrom: Pair;
  /** microseconds */
  udpP50: Pair;
  udpP99: Pair;
  /** datagrams without an answer */
  udpLost: Pair;
  payload: Record<Path, { to: PathResult; from: PathResult }>;
}

/** Steps that `measureAll` reports. */
export const STEPS = ROUNDS * PATHS.length * (STREAMS.length + 1) + PATHS.length;

/** Runs everything; `onStep` hears what comes next. */
export async function measureAll(
  farEnd: FarEnd,
  seconds: number,
  onStep: (text: string) => void,
): Promise<Measured> {
  const pair = (): Pair => ({ underlay: [], overlay: [] });
  const streams = { tcpTo: pair(), tcpFrom: pair() };
  const trips = { udpP50: pair(), udpP99: pair(), udpLost: pair() };
  for (let round = 1; round <= ROUNDS; round++) {
    // The path that begins changes, so that a machine that slows down or speeds up favours neither.
    const paths = round % 2 === 1 ? PATHS : PATHS.toReversed();
    for (const stream of STREAMS) {
      for (const path of paths) {
        const to = stream === 'tcpTo';
        onStep(`round ${round}: TCP ${to ? 'to' : 'from'} the peer, ${path}`);
        const result = to
          ? await farEnd.upload(path, seconds)
          : await farEnd.download(path, seconds);
        streams[stream][path].push((result.bytes * 8) / (result.ms * 1000));
      }
    }
    for (const path of paths) {
      onStep(`round ${round}: UDP round trips, ${path}`);
      const result = await farEnd.latency(path);
      trips.udpP50[path].push(result.p50Us);
      trips.udpP99[path].push(result.p99Us);
      trips.udpLost[path].push(result.lost);
    }
  }
  // Last: what the kernel learns here about the path's MTU stays with it for minutes.
  onStep('MTU, overlay');
  const overlay = await farEnd.payload('overlay');
  onStep('MTU, underlay');
  const underlay = await farEnd.payload('underlay');
  return { ...streams, ...trips, payload: { underlay, overlay } };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] as number;
}
