/**
 * A worker's counter block: doubles (exact to 2^53), written by one thread, read by any.
 * Order: what C counts (STAT_NAMES), what TypeScript counts (COUNTER_NAMES), batches by size for each direction (BATCH_BOUNDS),
 * drops by reason (DROP_NAMES).
 * Two sums hold at the end of every breath:
 *   outPackets = sentPackets + all outbound drops      inPackets = deliveredPackets + all inbound drops
 */
import { DROP_NAMES, DROP_REASONS } from './drops.ts';
import { LAYOUT, STAT_NAMES } from './layout.ts';

export const COUNTER_NAMES = [
  'breaths',
  /** packets read from the TUN; a super-packet counts once */
  'outPackets',
  'outBytes',
  /** of these, handed to the underlay */
  'sentPackets',
  'sentBytes',
  /** encapsulated packets received from the underlay; a merged datagram counts once for each packet in it */
  'inPackets',
  'inBytes',
  /** of these, handed to the TUN */
  'deliveredPackets',
  'deliveredBytes',
  /** ICMP errors written to the TUN, and those withheld by the rate limit */
  'icmpSent',
  'icmpLimited',
  /** packets that got a congestion mark because a queue here stands; flows that don't know marks lose a segment instead, see DROP */
  'congestionMarks',
] as const;
export type CounterName = (typeof COUNTER_NAMES)[number];

export const COUNTERS_AT = LAYOUT.statCount;
/** Upper bounds of the buckets of batch sizes, in packets; one more bucket holds what is larger. */
export const BATCH_BOUNDS = [1, 2, 4, 8, 16, 32, 64, 128] as const;
export const BATCHES_OUT_AT = COUNTERS_AT + 16;
export const BATCHES_IN_AT = BATCHES_OUT_AT + 16;
export const DROPS_AT = BATCHES_IN_AT + 16;
/** Doubles of one block, a multiple of 16 so that blocks never share a cache-line pair. */
export const COUNTER_BLOCK = Math.ceil((DROPS_AT + DROP_NAMES.length) / 16) * 16;

/** Index of a counter in the block. */
export const COUNTER = Object.fromEntries(
  COUNTER_NAMES.map((name, i) => [name, COUNTERS_AT + i]),
) as Readonly<Record<CounterName, number>>;

/** Bucket of a batch of `packets`, at least one. */
export function batchBucket(packets: number): number {
  return Math.min(BATCH_BOUNDS.length, 32 - Math.clz32(packets - 1));
}

export interface Totals {
  counters: Record<CounterName, number>;
  stats: Record<(typeof STAT_NAMES)[number], number>;
  /** batches by size, in the order of BATCH_BOUNDS; their packets are outPackets and inPackets */
  batches: { outbound: number[]; inbound: number[] };
  drops: { outbound: Record<string, number>; inbound: Record<string, number> };
}

/** Sums blocks into named totals. Blocks outlive their workers, so totals never run backwards. */
export function sumBlocks(blocks: readonly Float64Array[]): Totals {
  const at = (index: number): number =>
    blocks.reduce((sum, block) => sum + (block[index] as number), 0);
  const named = <N extends string>(names: readonly N[], first: number): Record<N, number> =>
    Object.fromEntries(names.map((name, i) => [name, at(first + i)])) as Record<N, number>;
  const buckets = (first: number): number[] =>
    Array.from({ length: BATCH_BOUNDS.length + 1 }, (_, i) => at(first + i));
  const drops = named(DROP_NAMES, DROPS_AT);
  const of = (direction: string): Record<string, number> =>
    Object.fromEntries(
      DROP_NAMES.filter((name) => DROP_REASONS[name].direction === direction).map((name) => [
        name,
        drops[name],
      ]),
    );
  return {
    counters: named(COUNTER_NAMES, COUNTERS_AT),
    stats: named(STAT_NAMES, 0),
    batches: { outbound: buckets(BATCHES_OUT_AT), inbound: buckets(BATCHES_IN_AT) },
    drops: { outbound: of('outbound'), inbound: of('inbound') },
  };
}

/** Both together, name by name. */
export function addTotals(a: Totals, b: Totals): Totals {
  return {
    counters: addNamed(a.counters, b.counters),
    stats: addNamed(a.stats, b.stats),
    batches: {
      outbound: a.batches.outbound.map((count, i) => count + (b.batches.outbound[i] ?? 0)),
      inbound: a.batches.inbound.map((count, i) => count + (b.batches.inbound[i] ?? 0)),
    },
    drops: {
      outbound: addNamed(a.drops.outbound, b.drops.outbound),
      inbound: addNamed(a.drops.inbound, b.drops.inbound),
    },
  };
}

function addNamed<N extends string>(a: Record<N, number>, b: Record<N, number>): Record<N, number> {
  const names = Object.keys(a) as N[];
  return Object.fromEntries(names.map((name) => [name, a[name] + b[name]])) as Record<N, number>;
}
