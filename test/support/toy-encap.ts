/**
 * An encapsulation that no file of the product knows. Its header is four bytes, a type and the index that the receiver gave to the
 * sender, so that a node is known wherever its datagrams come from, as with WireGuard.
 */
import type { Encap } from '../../src/dataplane/encap/encap.ts';
import type { RouteTable } from '../../src/dataplane/routes/table.ts';
import { DROP } from '../../src/memory/drops.ts';
import { ROW } from '../../src/memory/layout.ts';
import type { ToyTask } from './toy-task.ts';

const HEADER_BYTES = 4;
const TYPE = 4 << 24;
const INDEX_MASK = 0xffffff;

export class ToyEncap implements Encap {
  readonly headerBytes = HEADER_BYTES;
  readonly tailBytes: number = 0;
  readonly lowersTtl = false;
  readonly port: number;
  private readonly indexes: readonly number[];
  private readonly table: RouteTable;

  /** What we write to a peer stands in the table in place of its MAC. */
  constructor(task: ToyTask, table: RouteTable) {
    this.port = task.port;
    this.indexes = task.indexes;
    this.table = table;
  }

  sender(view: DataView, rows: Int32Array, row: number): number {
    if ((rows[row + ROW.length] as number) < HEADER_BYTES) return -1 - DROP.inTruncated;
    const index = view.getInt32(rows[row + ROW.offset] as number) & INDEX_MASK;
    const peer = this.indexes.indexOf(index);
    return peer < 0 ? -1 - DROP.inUnknownPeer : peer;
  }

  push(view: DataView, at: number, _version: number, peer: number): void {
    view.setInt32(at - HEADER_BYTES, TYPE | this.table.macHigh(peer));
  }

  pull(view: DataView, at: number, length: number, peer: number): number {
    if (length < HEADER_BYTES) return -1 - DROP.inTruncated;
    if (peer < 0) return peer;
    const isPeers = view.getInt32(at) === (TYPE | (this.indexes[peer] as number));
    return isPeers ? 0 : -1 - DROP.inBadHeader;
  }
}
