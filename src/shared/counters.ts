/**
 * A worker's counter block: doubles (exact to 2^53), written by one thread, read by any.
 * Order: what C counts (STAT_NAMES), what TypeScript counts (COUNTER_NAMES), drops by reason (DROP_NAMES).
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
] as const;
export type CounterName = (typeof COUNTER_NAMES)[number];

export const COUNTERS_AT = LAYOUT.statCount;
export const DROPS_AT = COUNTERS_AT + 16;
/** Doubles of one block, a multiple of 16 so that blocks never share a cache-line pair. */
export const COUNTER_BLOCK = Math.ceil((DROPS_AT + DROP_NAMES.length) / 16) * 16;

/** Index of a counter in the block. */
export const COUNTER = Object.fromEntries(
  COUNTER_NAMES.map((name, i) => [name, COUNTERS_AT + i]),
) as Readonly<Record<CounterName, number>>;

export interface Totals {
  counters: Record<CounterName, number>;
  stats: Record<(typeof STAT_NAMES)[number], number>;
  drops: { outbound: Record<string, number>; inbound: Record<string, number> };
}

/** Sums blocks into named totals. Blocks outlive their workers, so totals never run backwards. */
export function sumBlocks(blocks: readonly Float64Array[]): Totals {
  const at = (index: number): number =>
    blocks.reduce((sum, block) => sum + (block[index] as number), 0);
  const named = <N extends string>(names: readonly N[], first: number): Record<N, number> =>
    Object.fromEntries(names.map((name, i) => [name, at(first + i)])) as Record<N, number>;
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
    drops: { outbound: of('outbound'), inbound: of('inbound') },
  };
}
