/**
 * One half of the route table in shared memory (layout: memory/table.ts), to which peers are added and from which they are taken one by
 * one, while nobody reads it. Which peers are in it stands in the half itself; subnets are unique, underlay addresses need not be.
 */
import type { Peer } from '../../cluster/peers.ts';
import {
  ADDRESSES_AT,
  ENTRY,
  ENTRY_WORDS,
  HALF,
  hashWords,
  PEER,
  PEER_FLAG,
  PEER_SLOT_SHIFT,
  PEER_WORDS,
  PEERS_AT,
  ROUTES_AT,
} from '../../memory/table.ts';
import { familyOf, type Words } from '../../shared/address.ts';
import { PEERS_MAX } from '../../shared/limits.ts';

const CAPACITY_MIN = 2;

export class TableHalf {
  private readonly words: Int32Array;
  private readonly half: number;
  private readonly routes: number;
  private readonly addresses: number;
  private capacity = CAPACITY_MIN;
  /** places that were used once and are free now; those behind `used` never were */
  private readonly free: number[] = [];
  private used = 0;
  /** peers of one underlay address are chained, place + 1; the hash has the first */
  private readonly next = new Int32Array(PEERS_MAX);
  private readonly previous = new Int32Array(PEERS_MAX);
  /** how many peers have a prefix length, by family */
  private readonly lengths = { 4: new Map<number, number>(), 6: new Map<number, number>() };

  /** `half`: its first word. It is empty from now on. */
  constructor(words: Int32Array, half: number) {
    this.words = words;
    this.half = half;
    this.routes = half + ROUTES_AT;
    this.addresses = half + ADDRESSES_AT;
    words[half + HALF.peerCount] = 0;
    words[half + HALF.prefixes4] = 0;
    words[half + HALF.prefixes6] = 0;
    this.resize(CAPACITY_MIN);
  }

  get count(): number {
    return this.words[this.half + HALF.peerCount] as number;
  }

  /** Makes room for so many peers at once. */
  reserve(peers: number): void {
    const most = Math.min(PEERS_MAX, peers);
    const capacity = 2 ** Math.ceil(Math.log2(Math.max(CAPACITY_MIN, most * 2)));
    if (capacity <= this.capacity) return;
    const [routes, addresses] = [this.copyOf(this.routes), this.copyOf(this.addresses)];
    this.resize(capacity);
    this.insertAll(this.routes, routes);
    this.insertAll(this.addresses, addresses);
  }

  /** `slot`: of its counters. Throws RangeError when the table is full or the subnet is in it already. */
  add(peer: Peer, slot: number): void {
    const { subnet, address } = peer;
    if (this.count >= PEERS_MAX) throw new RangeError(`table: more than ${PEERS_MAX} peers`);
    if (this.find(this.routes, subnet.bits, subnet.words) >= 0)
      throw new RangeError('table: two peers have one subnet');
    this.reserve(this.count + 1);
    const place = this.free.pop() ?? this.used++;
    this.write(place, peer, slot);
    this.insert(this.routes, place, subnet.bits, subnet.words);
    this.chain(place, address);
    this.words[this.half + HALF.peerCount] = this.count + 1;
    this.countLength(familyOf(subnet.words), subnet.bits, 1);
  }

  /** The same for a peer that has its subnet and its address already, and other data. Throws RangeError when it has not. */
  rewrite(peer: Peer, slot: number): void {
    const route = this.find(this.routes, peer.subnet.bits, peer.subnet.words);
    if (route < 0) throw new RangeError('table: no peer has this subnet');
    this.write(this.placeAt(this.routes, route), peer, slot);
  }

  /** Throws RangeError when the subnet is not in the table. */
  remove({ subnet, address }: Peer): void {
    const route = this.find(this.routes, subnet.bits, subnet.words);
    if (route < 0) throw new RangeError('table: no peer has this subnet');
    const place = this.placeAt(this.routes, route);
    this.erase(this.routes, route);
    this.unchain(place, address);
    this.free.push(place);
    this.words[this.half + HALF.peerCount] = this.count - 1;
    this.countLength(familyOf(subnet.words), subnet.bits, -1);
  }

  private write(place: number, { address, port, mac, tunnelGso }: Peer, slot: number): void {
    const { words } = this;
    const at = this.half + PEERS_AT + place * PEER_WORDS;
    words.set(address, at + PEER.address);
    words[at + PEER.port] = port;
    words[at + PEER.macHigh] = mac.high;
    words[at + PEER.macLow] = mac.low;
    const flags = tunnelGso ? PEER_FLAG.tunnelGso : 0;
    words[at + PEER.slotAndFlags] = (slot << PEER_SLOT_SHIFT) | flags;
  }

  private countLength(family: 4 | 6, bits: number, change: 1 | -1): void {
    const lengths = this.lengths[family];
    const count = (lengths.get(bits) ?? 0) + change;
    const isOther = count === 0 || !lengths.has(bits);
    if (count === 0) lengths.delete(bits);
    else lengths.set(bits, count);
    if (!isOther) return;
    const sorted = [...lengths.keys()].sort((a, b) => b - a);
    const [counted, at] =
      family === 4 ? [HALF.prefixes4, HALF.lengths4] : [HALF.prefixes6, HALF.lengths6];
    this.words.set(sorted, this.half + at);
    this.words[this.half + counted] = sorted.length;
  }

  // ---- peers of one underlay address ----

  private chain(place: number, address: Words): void {
    this.next[place] = 0;
    this.previous[place] = 0;
    const found = this.find(this.addresses, 128, address);
    if (found < 0) {
      this.insert(this.addresses, place, 128, address);
      return;
    }
    const first = this.placeAt(this.addresses, found);
    const second = this.next[first] as number;
    this.next[first] = place + 1;
    this.previous[place] = first + 1;
    this.next[place] = second;
    if (second > 0) this.previous[second - 1] = place + 1;
  }

  private unchain(place: number, address: Words): void {
    const [next, previous] = [this.next[place] as number, this.previous[place] as number];
    if (next > 0) this.previous[next - 1] = previous;
    if (previous > 0) {
      this.next[previous - 1] = next;
      return;
    }
    const found = this.find(this.addresses, 128, address);
    if (next > 0) this.words[this.addresses + found * ENTRY_WORDS + ENTRY.peer] = next;
    else this.erase(this.addresses, found);
  }

  // ---- the two hashes: open addressing with linear probing ----

  private resize(capacity: number): void {
    this.capacity = capacity;
    this.words[this.half + HALF.routeMask] = capacity - 1;
    this.words[this.half + HALF.addressMask] = capacity - 1;
    for (const at of [this.routes, this.addresses])
      this.words.fill(0, at, at + capacity * ENTRY_WORDS);
  }

  private placeAt(hash: number, slot: number): number {
    return (this.words[hash + slot * ENTRY_WORDS + ENTRY.peer] as number) - 1;
  }

  private homeAt(hash: number, slot: number): number {
    const at = hash + slot * ENTRY_WORDS;
    const word = (i: number): number => this.words[at + i] as number;
    const address = ENTRY.address;
    return (
      hashWords(
        word(ENTRY.bits),
        word(address),
        word(address + 1),
        word(address + 2),
        word(address + 3),
      ) &
      (this.capacity - 1)
    );
  }

  /** Slot of the hash; -1 if none. */
  private find(hash: number, bits: number, address: Words): number {
    const { words } = this;
    const mask = this.capacity - 1;
    let slot = hashWords(bits, ...address) & mask;
    for (; this.placeAt(hash, slot) >= 0; slot = (slot + 1) & mask) {
      const at = hash + slot * ENTRY_WORDS;
      if (words[at + ENTRY.bits] !== bits) continue;
      if (address.every((word, i) => words[at + ENTRY.address + i] === word)) return slot;
    }
    return -1;
  }

  private insert(hash: number, place: number, bits: number, address: Words): void {
    const mask = this.capacity - 1;
    let slot = hashWords(bits, ...address) & mask;
    while (this.placeAt(hash, slot) >= 0) slot = (slot + 1) & mask;
    const at = hash + slot * ENTRY_WORDS;
    this.words[at + ENTRY.peer] = place + 1;
    this.words[at + ENTRY.bits] = bits;
    this.words.set(address, at + ENTRY.address);
  }

  /** Entries behind it move up, so that no search ends at the gap. */
  private erase(hash: number, slot: number): void {
    const mask = this.capacity - 1;
    let gap = slot;
    for (let at = (gap + 1) & mask; this.placeAt(hash, at) >= 0; at = (at + 1) & mask) {
      const isBehindGap = ((at - this.homeAt(hash, at)) & mask) >= ((at - gap) & mask);
      if (!isBehindGap) continue;
      const from = hash + at * ENTRY_WORDS;
      this.words.copyWithin(hash + gap * ENTRY_WORDS, from, from + ENTRY_WORDS);
      gap = at;
    }
    const last = hash + gap * ENTRY_WORDS;
    this.words.fill(0, last, last + ENTRY_WORDS);
  }

  private copyOf(hash: number): Int32Array {
    return this.words.slice(hash, hash + this.capacity * ENTRY_WORDS);
  }

  /** Entries of a copy, at their places in a hash of another size. */
  private insertAll(hash: number, entries: Int32Array): void {
    for (let at = 0; at < entries.length; at += ENTRY_WORDS) {
      const [peer = 0, bits = 0, a = 0, b = 0, c = 0, d = 0] = entries.subarray(at, at + 6);
      if (peer > 0) this.insert(hash, peer - 1, bits, [a, b, c, d]);
    }
  }
}
