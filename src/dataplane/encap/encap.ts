/** How inner packets are wrapped: chosen once at start. */
import type { RouteTable } from '../routes/table.ts';

export interface Encap {
  /** UDP port of the far end and of the receiving socket. */
  readonly port: number;
  /** Bytes written in front of the inner packet. */
  readonly headerBytes: number;
  /** flannel-UDP counts as a hop at both ends; VXLAN does not (the kernel routes before and after). */
  readonly lowersTtl: boolean;
  /** Writes the header into the headroom in front of `at` (the inner packet's first byte). */
  push(view: DataView, at: number, innerVersion: number, table: RouteTable, peer: number): void;
  /** Checks the header at `at` of a datagram of `length` bytes: 0, or -1 - DROP reason. */
  pull(view: DataView, at: number, length: number): number;
}
