/**
 * A worker's view of the published route table (layout: shared/table.ts). Look-ups are O(1) in the number of peers: one hash
 * probe per prefix length present, normally one. A peer index is valid until the next {@link RouteTable.refresh}.
 */

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
import { MAPPED_WORD, maskOfWord } from '../../shared/address.ts';

export class RouteTable {
  /** generation in use; -1 before the first refresh */
  generation = -1;
  private readonly words: Int32Array;
  private half = 0;
  private routeMask = 0;
  private addressMask = 0;
  private prefixes4 = 0;
  private prefixes6 = 0;

  constructor(table: SharedArrayBuffer) {
    this.words = new Int32Array(table);
    this.refresh();
  }

  /** Switches to the newest published half. Call between batches only. Returns the generation now in use. */
  refresh(): number {
    const generation = Atomics.load(this.words, TABLE_GENERATION);
    if (generation === this.generation) return generation;
    this.half = halfAt(generation);
    this.routeMask = this.words[this.half + HALF.routeMask] as number;
    this.addressMask = this.words[this.half + HALF.addressMask] as number;
    this.prefixes4 = this.words[this.half + HALF.prefixes4] as number;
    this.prefixes6 = this.words[this.half + HALF.prefixes6] as number;
    this.generation = generation;
    return generation;
  }

  /** Peer whose subnet holds an IPv4 address (one word), longest prefix first; -1 if none. */
  lookup4(address: number): number {
    const words = this.words;
    const lengths = this.half + HALF.lengths4;
    for (let i = 0; i < this.prefixes4; i++) {
      const bits = words[lengths + i] as number;
      const peer = this.probeRoute(bits, 0, 0, MAPPED_WORD, address & maskOfWord(bits, 3));
      if (peer >= 0) return peer;
    }
    return -1;
  }

  /** Peer whose subnet holds an IPv6 address (four words); -1 if none. */
  lookup6(a: number, b: number, c: number, d: number): number {
    const words = this.words;
    const lengths = this.half + HALF.lengths6;
    for (let i = 0; i < this.prefixes6; i++) {
      const bits = words[lengths + i] as number;
      const peer = this.probeRoute(
        bits,
        a & maskOfWord(bits, 0),
        b & maskOfWord(bits, 1),
        c & maskOfWord(bits, 2),
        d & maskOfWord(bits, 3),
      );
      if (peer >= 0) return peer;
    }
    return -1;
  }

  private probeRoute(bits: number, a: number, b: number, c: number, d: number): number {
    const words = this.words;
    const base = this.half + ROUTES_AT;
    let slot = hashWords(bits, a, b, c, d) & this.routeMask;
    for (let probes = 0; probes <= this.routeMask; probes++) {
      const at = base + slot * ENTRY_WORDS;
      const peer = words[at + ENTRY.peer] as number;
      if (peer === 0) return -1;
      if (words[at + ENTRY.bits] === bits && this.isAddressAt(at + ENTRY.address, a, b, c, d)) {
        return peer - 1;
      }
      slot = (slot + 1) & this.routeMask;
    }
    return -1;
  }

  /** A peer with this underlay address; -1 if no peer has it. */
  findUnderlay(a: number, b: number, c: number, d: number): number {
    const words = this.words;
    const base = this.half + ADDRESSES_AT;
    let slot = hashWords(128, a, b, c, d) & this.addressMask;
    for (let probes = 0; probes <= this.addressMask; probes++) {
      const at = base + slot * ENTRY_WORDS;
      const peer = words[at + ENTRY.peer] as number;
      if (peer === 0) return -1;
      if (this.isAddressAt(at + ENTRY.address, a, b, c, d)) return peer - 1;
      slot = (slot + 1) & this.addressMask;
    }
    return -1;
  }

  /** Whether two peers are one node: it may lease several subnets, all of them at one underlay address. */
  isOneNode(peer: number, other: number): boolean {
    if (peer === other) return true;
    const words = this.words;
    const at = this.peerAt(other) + PEER.address;
    return this.isAddressAt(
      this.peerAt(peer) + PEER.address,
      words[at] as number,
      words[at + 1] as number,
      words[at + 2] as number,
      words[at + 3] as number,
    );
  }

  macHigh(peer: number): number {
    return this.words[this.peerAt(peer) + PEER.macHigh] as number;
  }

  macLow(peer: number): number {
    return this.words[this.peerAt(peer) + PEER.macLow] as number;
  }

  /** Whether super-packets to this peer may leave unsegmented. */
  hasTunnelGso(peer: number): boolean {
    const flags = this.words[this.peerAt(peer) + PEER.slotAndFlags] as number;
    return (flags & PEER_FLAG.tunnelGso) !== 0;
  }

  /** Slot of this peer's counters: its own for as long as it is a peer. */
  slotOf(peer: number): number {
    return (this.words[this.peerAt(peer) + PEER.slotAndFlags] as number) >>> PEER_SLOT_SHIFT;
  }

  /** Copies a peer's address and port into a row (five words: port, then the address). */
  copyEndpoint(peer: number, rows: Int32Array, portAt: number): void {
    const words = this.words;
    const at = this.peerAt(peer);
    rows[portAt] = words[at + PEER.port] as number;
    rows[portAt + 1] = words[at + PEER.address] as number;
    rows[portAt + 2] = words[at + PEER.address + 1] as number;
    rows[portAt + 3] = words[at + PEER.address + 2] as number;
    rows[portAt + 4] = words[at + PEER.address + 3] as number;
  }

  private peerAt(peer: number): number {
    return this.half + PEERS_AT + peer * PEER_WORDS;
  }

  private isAddressAt(at: number, a: number, b: number, c: number, d: number): boolean {
    const words = this.words;
    return words[at + 3] === d && words[at + 2] === c && words[at + 1] === b && words[at] === a;
  }
}
