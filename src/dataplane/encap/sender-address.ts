/** The sender of a message by its underlay address: for encapsulations whose header names none. */
import { DROP } from '../../memory/drops.ts';
import { ROW } from '../../memory/layout.ts';
import type { Prefix } from '../../shared/address.ts';
import { prefixContainsWords } from '../routes/prefix.ts';
import type { RouteTable } from '../routes/table.ts';

/** The peer that has the address in the row, or -1 - DROP reason. `network` is the overlay: no underlay address lies in it. */
export function findSender(
  table: RouteTable,
  network: Prefix,
  rows: Int32Array,
  row: number,
): number {
  const w0 = rows[row + ROW.address] as number;
  const w1 = rows[row + ROW.address + 1] as number;
  const w2 = rows[row + ROW.address + 2] as number;
  const w3 = rows[row + ROW.address + 3] as number;
  if (prefixContainsWords(network, w0, w1, w2, w3)) return -1 - DROP.inOverlayLoop;
  const peer = table.findUnderlay(w0, w1, w2, w3);
  return peer < 0 ? -1 - DROP.inUnknownPeer : peer;
}
