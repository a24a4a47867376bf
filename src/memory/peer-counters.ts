/**
 * What a worker counts for each peer: one cache line of doubles a slot, written by that worker only, read by the control thread
 * (control/observe/peer-ledger.ts), kept over restarts. A peer's slot stands in the table's peer row. Numbers of a slot never go back: who
 * gives a slot to another peer notes what stood there.
 */
import { PEERS_MAX } from '../shared/limits.ts';

/** Doubles of a slot. Bytes are those of inner packets; received are those that passed every check. */
export const PEER_COUNTER = {
  sentPackets: 0,
  sentBytes: 1,
  receivedPackets: 2,
  receivedBytes: 3,
  /** the worker's clock word (CLOCK_MONOTONIC in ms, 32 bits) of the newest packet received, odd; 0 = none yet */
  lastHeardMs: 4,
} as const;
export const PEER_COUNTERS_SHIFT = 3;
export const PEER_COUNTERS = 1 << PEER_COUNTERS_SHIFT;

/** While a new table is in the making, the slots of the last one must not be given away. */
export const PEER_SLOTS = 2 * PEERS_MAX;
/** Bytes of a worker's block; the kernel backs only the pages that are touched. */
export const PEER_COUNTERS_BYTES = PEER_SLOTS * PEER_COUNTERS * 8;
