/**
 * The addresses of this host in shared memory: written by the control thread (control/plane/local-addresses.ts), copied by workers
 * (dataplane/local-addresses.ts). A hash with open addressing and linear probing, capacity a power of two and at least twice the
 * entries; an empty entry is all zero, which is nobody's address.
 *
 * Contract (a sequence lock): the sequence is odd while the writer is at work. A copy is good when the sequence was even before it and
 * is the same behind it. All accesses of both sides are atomic, so that none moves across another.
 */
import { LOCAL_ADDRESSES_MAX } from '../shared/limits.ts';

/** Words in front of the entries. */
export const LOCAL = { sequence: 0, mask: 1, entries: 16 } as const;
/** log2 of the words of an entry */
export const LOCAL_ENTRY_SHIFT = 2;
export const LOCAL_ENTRIES_MAX = LOCAL_ADDRESSES_MAX * 2;
/** Bytes of the whole memory; the kernel backs only the pages that are touched. */
export const LOCAL_ADDRESSES_BYTES = (LOCAL.entries + (LOCAL_ENTRIES_MAX << LOCAL_ENTRY_SHIFT)) * 4;
