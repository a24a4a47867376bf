/**
 * The route table in shared memory: written by the control thread (control/plane/shared-table.ts), read by workers
 * (dataplane/routes/table.ts). Two halves and a generation word; the half in use is generation & 1.
 *
 * Contract: the writer fills the other half, then stores generation + 1. It may start the next fill only when every worker
 * has reported the current generation (WORD.seenGeneration), because a slower worker may still read the half it would overwrite.
 *
 * Inside a half: header words, prefix lengths per family, hash of routes, hash of underlay addresses, peers.
 * Both hashes use open addressing with linear probing, capacity a power of two and at least twice the entries.
 */
import { PEERS_MAX } from '../shared/limits.ts';

const HASH_ENTRIES_MAX = PEERS_MAX * 2;
/** Room for every length that there is: peers that are held may have others than those that leases may bring (cluster/claims.ts). */
const LENGTHS_MAX = 128;

/** Words before the halves. */
export const TABLE_HEADER = 16;
export const TABLE_GENERATION = 0;

/** Words at the head of a half. */
export const HALF = {
  peerCount: 0,
  /** hash capacity - 1 */
  routeMask: 1,
  addressMask: 2,
  /** prefix lengths (128-bit space) of IPv4 and IPv6 routes, longest first */
  prefixes4: 3,
  prefixes6: 4,
  lengths4: 8,
  lengths6: 8 + LENGTHS_MAX,
} as const;

/** A hash entry: peer + 1 (0 = empty), bits (routes only), the four address words. */
export const ENTRY = { peer: 0, bits: 1, address: 2 } as const;
export const ENTRY_WORDS = 8;

/** A peer: where its datagrams go. MAC as in shared/address.ts. The last word is the slot of its counters and, below, the flags. */
export const PEER = { address: 0, port: 4, macHigh: 5, macLow: 6, slotAndFlags: 7 } as const;
/** tunnelGso: the route to it leaves through a device that segments encapsulated packets itself */
export const PEER_FLAG = { tunnelGso: 1 } as const;
export const PEER_SLOT_SHIFT = 8;
export const PEER_WORDS = 8;

export const ROUTES_AT = 8 + 2 * LENGTHS_MAX;
export const ADDRESSES_AT = ROUTES_AT + HASH_ENTRIES_MAX * ENTRY_WORDS;
export const PEERS_AT = ADDRESSES_AT + HASH_ENTRIES_MAX * ENTRY_WORDS;
export const HALF_WORDS = PEERS_AT + PEERS_MAX * PEER_WORDS;
/** Bytes of the whole table; the kernel backs only the pages that are touched. */
export const TABLE_BYTES = (TABLE_HEADER + 2 * HALF_WORDS) * 4;

/** First word of the half that belongs to a generation. */
export function halfAt(generation: number): number {
  return TABLE_HEADER + (generation & 1) * HALF_WORDS;
}

/** Hash of an address (already masked) and a prefix length; use the low bits (a signed word: larger numbers would be boxed). */
export function hashWords(bits: number, a: number, b: number, c: number, d: number): number {
  let h = Math.imul(d ^ (bits * 0x9e3779b1), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 15) ^ c, 0xc2b2ae35);
  h = Math.imul(h ^ (h >>> 13) ^ b, 0x27d4eb2f);
  h = Math.imul(h ^ (h >>> 16) ^ a, 0x165667b1);
  return h ^ (h >>> 15);
}
