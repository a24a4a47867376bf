/**
 * How inner packets are wrapped: the seam between the packet's way and one protocol. One object a link, made at start by
 * encapsulations.ts; one class a process, so that calls on the packet's way stay monomorphic. Nothing here allocates or throws.
 */
import type { Addon } from '../../memory/addon.ts';

export interface Encap {
  /** UDP port of the far end and of the receiving socket. */
  readonly port: number;
  /** Bytes in front of the inner packet, at most what the headroom of a slot holds. */
  readonly headerBytes: number;
  /** Bytes behind the inner packet, at least: the seal's tag. What pads the packet in front of them may vary. */
  readonly tailBytes: number;
  /** flannel-UDP counts as a hop at both ends; VXLAN does not (the kernel routes before and after). */
  readonly lowersTtl: boolean;
  /**
   * Gives this link of the engine its seal (native/seal.h), once, right after it was attached: from then on datagrams are encrypted
   * behind push and decrypted in front of sender and pull. An encapsulation in clear has no such function.
   */
  seal?(addon: Addon, engine: number, link: number): void;
  /**
   * Who sent the message of this row: a peer's index, or -1 - DROP reason. Asked once for all datagrams that UDP_GRO merged into the
   * message, and again while somebody captures, so it changes nothing.
   */
  sender(view: DataView, rows: Int32Array, row: number): number;
  /** Writes the header into the headroom in front of `at` (the inner packet's first byte). */
  push(view: DataView, at: number, innerVersion: number, peer: number): void;
  /**
   * Checks the header at `at` of a datagram of `length` bytes: 0, or -1 - DROP reason. `peer` is what {@link sender} answered for its
   * message; with --source-check=off a stranger's datagram comes here too, and passes unless the header itself must name a peer.
   * A datagram that its seal did not open begins with LAYOUT.sealUnopened, and no header does.
   */
  pull(view: DataView, at: number, length: number, peer: number): number;
}
