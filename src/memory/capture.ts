/**
 * Captured packets, a ring for each worker: it writes (dataplane/capture.ts), the control thread drains (control/observe/capture.ts).
 *
 * Contract: the control thread stores `off` in CAPTURE.order, fills the filter, then stores the new order. An order is
 * session << 2 | side; each record carries its session, so that records made with an older filter are told apart. `head` is written
 * by the worker, `tail` by the control thread; both count bytes and wrap at 32 bits, a byte n lies at n % CAPTURE_RING_BYTES. A
 * record never goes over the end of the ring: one of session 0 fills the rest.
 */

export const SIDE = { off: 0, inner: 1, outer: 2 } as const;
export type SideName = 'inner' | 'outer';

/** Words before the ring: what the control thread writes, then what the worker writes, a pair of cache lines each. */
export const CAPTURE = {
  order: 0,
  /** bytes of each packet */
  snapBytes: 1,
  /** peers' slots, one per address family, or -1; both -1 = packets of all peers */
  slot4: 2,
  slot6: 3,
  /** 1: only packets with this inner source or destination, or this far end */
  hasAddress: 4,
  address: 8,
  tail: 12,
  head: 32,
  /** packets that passed the filter and found no room, or were too many */
  missed: 33,
} as const;
export const CAPTURE_HEADER = 64;
export const CAPTURE_RING_BYTES = 1 << 20;
export const CAPTURE_BYTES = CAPTURE_HEADER * 4 + CAPTURE_RING_BYTES;

/** Words of a record, the packet's bytes behind them. */
export const RECORD = {
  /** the whole record, a multiple of 4 */
  bytes: 0,
  session: 1,
  /** CLOCK_MONOTONIC at the begin of the breath: ms (32 bits) and the ns within */
  clockMs: 2,
  clockNs: 3,
  packetBytes: 4,
  capturedBytes: 5,
} as const;
export const RECORD_HEADER_BYTES = 24;

/** Sessions wrap at this; 0 is for filling. */
export const SESSIONS = 1 << 20;
/** Shortest piece that is worth anything; the headers made here are not cut. */
export const SNAP_BYTES_MIN = 64;
/** Longest packet: an outer IPv6 packet around a super-packet. */
export const SNAP_BYTES_MAX = 65_535 + 128;
