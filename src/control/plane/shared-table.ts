/** Peers → the route table in shared memory (contract and layout: memory/table.ts). */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Peer } from '../../cluster/peers.ts';
import {
  ADDRESSES_AT,
  ENTRY,
  ENTRY_WORDS,
  HALF,
  halfAt,
  hashWords,
  PEER,
  PEER_FLAG,
  PEER_SLOT_SHIFT,
  PEER_WORDS,
  PEERS_AT,
  ROUTES_AT,
  TABLE_GENERATION,
} from '../../memory/table.ts';
import { familyOf } from '../../shared/address.ts';
import { PREFIX_LENGTHS_MAX } from '../../shared/limits.ts';
import type { TableSink } from './table-sink.ts';

/** How long a worker may lag before the next publication goes on without it: it is dead, and its successor reads anew. */
const SEEN_WAIT_MS = 2_000;

/** The table that the workers read. One writer: who publishes waits for {@link settled} first. */
export class SharedTable implements TableSink {
  private readonly words: Int32Array;
  private readonly seen: () => readonly number[];

  /** `seen` gives the generations that live workers have reported. */
  constructor(memory: SharedArrayBuffer, seen: () => readonly number[]) {
    this.words = new Int32Array(memory);
    this.seen = seen;
  }

  async settled(): Promise<void> {
    const generation = Atomics.load(this.words, TABLE_GENERATION);
    const deadline = Date.now() + SEEN_WAIT_MS;
    while (this.seen().some((seen) => seen !== generation) && Date.now() < deadline) await sleep(5);
  }

  async publish(peers: readonly Peer[], slots: readonly number[]): Promise<number> {
    const generation = Atomics.load(this.words, TABLE_GENERATION) + 1;
    fillHalf(this.words, halfAt(generation), peers, slots);
    Atomics.store(this.words, TABLE_GENERATION, generation);
    return generation;
  }
}

/** Writes one half; peers without a slot of their own have that of their index. Exported for tests and benchmarks. */
export function fillHalf(
  words: Int32Array,
  half: number,
  peers: readonly Peer[],
  slots: readonly number[] = [],
): void {
  const capacity = 2 ** Math.ceil(Math.log2(Math.max(2, peers.length * 2)));
  words[half + HALF.peerCount] = peers.length;
  words[half + HALF.routeMask] = capacity - 1;
  words[half + HALF.addressMask] = capacity - 1;
  words.fill(0, half + ROUTES_AT, half + ROUTES_AT + capacity * ENTRY_WORDS);
  words.fill(0, half + ADDRESSES_AT, half + ADDRESSES_AT + capacity * ENTRY_WORDS);
  words[half + HALF.prefixes4] = writeLengths(words, half + HALF.lengths4, peers, 4);
  words[half + HALF.prefixes6] = writeLengths(words, half + HALF.lengths6, peers, 6);
  peers.forEach((peer, index) => {
    writePeer(words, half + PEERS_AT + index * PEER_WORDS, peer, slots[index] ?? index);
    insert(words, half + ROUTES_AT, capacity - 1, peer.subnet.bits, peer.subnet.words, index);
    insert(words, half + ADDRESSES_AT, capacity - 1, 128, peer.address, index);
  });
}

function writeLengths(
  words: Int32Array,
  at: number,
  peers: readonly Peer[],
  family: 4 | 6,
): number {
  const own = peers.filter((peer) => familyOf(peer.subnet.words) === family);
  const lengths = [...new Set(own.map((peer) => peer.subnet.bits))].sort((a, b) => b - a);
  if (lengths.length > PREFIX_LENGTHS_MAX) throw new RangeError('table: too many prefix lengths');
  lengths.forEach((bits, i) => {
    words[at + i] = bits;
  });
  return lengths.length;
}

function writePeer(words: Int32Array, at: number, peer: Peer, slot: number): void {
  peer.address.forEach((word, i) => {
    words[at + PEER.address + i] = word;
  });
  words[at + PEER.port] = peer.port;
  words[at + PEER.macHigh] = peer.mac.high;
  words[at + PEER.macLow] = peer.mac.low;
  const flags = peer.tunnelGso ? PEER_FLAG.tunnelGso : 0;
  words[at + PEER.slotAndFlags] = (slot << PEER_SLOT_SHIFT) | flags;
}

/** Adds an entry unless the key is there already (several subnets may share one underlay address). */
function insert(
  words: Int32Array,
  base: number,
  mask: number,
  bits: number,
  address: readonly [number, number, number, number],
  index: number,
): void {
  let slot = hashWords(bits, address[0], address[1], address[2], address[3]) & mask;
  for (;;) {
    const at = base + slot * ENTRY_WORDS;
    if (words[at + ENTRY.peer] === 0) {
      words[at + ENTRY.peer] = index + 1;
      words[at + ENTRY.bits] = bits;
      words.set(address, at + ENTRY.address);
      return;
    }
    const isSame = address.every((word, i) => words[at + ENTRY.address + i] === word);
    if (isSame && words[at + ENTRY.bits] === bits) return;
    slot = (slot + 1) & mask;
  }
}
