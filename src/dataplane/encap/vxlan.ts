/** VXLAN: frames exactly as a stock flannel node's kernel sends them, and its acceptance rules. */

import { DROP } from '../../memory/drops.ts';
import type { LinkTask, VxlanTask } from '../../memory/worker-task.ts';
import type { Prefix } from '../../shared/address.ts';
import {
  ETHERTYPE,
  VXLAN,
  VXLAN_ENCAP_BYTES,
  VXLAN_FLAGS,
  VXLAN_GBP_BITS,
} from '../../wire/vxlan.ts';
import type { RouteTable } from '../routes/table.ts';
import type { Encap } from './encap.ts';
import { findSender } from './sender-address.ts';

export class VxlanEncap implements Encap {
  readonly headerBytes = VXLAN_ENCAP_BYTES;
  readonly tailBytes = 0;
  readonly lowersTtl = false;
  readonly port: number;
  private readonly network: Prefix;
  private readonly table: RouteTable;
  /** header bits that must be exactly the I flag */
  private readonly flagsMask: number;
  private readonly vniWord: number;
  private readonly macHigh: number;
  private readonly macLow: number;

  constructor(task: VxlanTask, link: Pick<LinkTask, 'network' | 'ownMac'>, table: RouteTable) {
    this.port = task.port;
    this.network = link.network;
    this.table = table;
    this.flagsMask = task.gbp ? ~VXLAN_GBP_BITS : -1;
    this.vniWord = task.vni << 8;
    this.macHigh = link.ownMac.high;
    this.macLow = link.ownMac.low;
  }

  sender(_view: DataView, rows: Int32Array, row: number): number {
    return findSender(this.table, this.network, rows, row);
  }

  push(view: DataView, at: number, innerVersion: number, peer: number): void {
    const { table } = this;
    const header = at - VXLAN_ENCAP_BYTES;
    view.setInt32(header + VXLAN.flags, VXLAN_FLAGS);
    view.setInt32(header + VXLAN.vniAndReserved, this.vniWord);
    view.setInt32(header + VXLAN.destinationMac, table.macHigh(peer));
    view.setUint16(header + VXLAN.destinationMac + 4, table.macLow(peer));
    view.setInt32(header + VXLAN.sourceMac, this.macHigh);
    view.setUint16(header + VXLAN.sourceMac + 4, this.macLow);
    view.setUint16(header + VXLAN.etherType, innerVersion === 4 ? ETHERTYPE.ipv4 : ETHERTYPE.ipv6);
  }

  pull(view: DataView, at: number, length: number): number {
    if (length < VXLAN_ENCAP_BYTES) return -1 - DROP.inTruncated;
    const vniAndReserved = view.getInt32(at + VXLAN.vniAndReserved);
    const flags = view.getInt32(at + VXLAN.flags) & this.flagsMask;
    if (flags !== VXLAN_FLAGS || (vniAndReserved & 0xff) !== 0) return -1 - DROP.inBadHeader;
    if (vniAndReserved !== this.vniWord) return -1 - DROP.inWrongVni;
    if (!this.isForUs(view, at + VXLAN.destinationMac)) return -1 - DROP.inWrongMac;
    const sourceAt = at + VXLAN.sourceMac;
    if (view.getInt32(sourceAt) === this.macHigh && view.getUint16(sourceAt + 4) === this.macLow) {
      return -1 - DROP.inOwnMac;
    }
    const etherType = view.getUint16(at + VXLAN.etherType);
    const isIp = etherType === ETHERTYPE.ipv4 || etherType === ETHERTYPE.ipv6;
    return isIp && matchesVersion(view, at, length, etherType) ? 0 : -1 - DROP.inNotIp;
  }

  /** Our own MAC or broadcast, as a device without promiscuous mode. */
  private isForUs(view: DataView, at: number): boolean {
    const high = view.getInt32(at);
    const low = view.getUint16(at + 4);
    return (high === this.macHigh && low === this.macLow) || (high === -1 && low === 0xffff);
  }
}

/** The kernel picks the parser by EtherType, we by the version nibble: they must agree. */
function matchesVersion(view: DataView, at: number, length: number, etherType: number): boolean {
  if (length === VXLAN_ENCAP_BYTES) return true; // an empty packet fails at the IP gate
  const version = view.getUint8(at + VXLAN_ENCAP_BYTES) >>> 4;
  return version === (etherType === ETHERTYPE.ipv4 ? 4 : 6);
}
