/** VXLAN: frames exactly as a stock flannel node's kernel sends them, and its acceptance rules. */

import { DROP } from '../../memory/drops.ts';
import type { Mac } from '../../shared/address.ts';
import {
  ETHERTYPE,
  VXLAN,
  VXLAN_ENCAP_BYTES,
  VXLAN_FLAGS,
  VXLAN_GBP_BITS,
} from '../../wire/vxlan.ts';
import type { RouteTable } from '../routes/table.ts';
import type { Encap } from './encap.ts';

export class VxlanEncap implements Encap {
  readonly headerBytes = VXLAN_ENCAP_BYTES;
  readonly lowersTtl = false;
  readonly port: number;
  /** header bits that must be exactly the I flag */
  private readonly flagsMask: number;
  private readonly vniWord: number;
  private readonly macHigh: number;
  private readonly macLow: number;

  /** `gbp`: group policy ids are let through, unread. */
  constructor(vni: number, port: number, ownMac: Mac, gbp = false) {
    this.port = port;
    this.flagsMask = gbp ? ~VXLAN_GBP_BITS : -1;
    this.vniWord = vni << 8;
    this.macHigh = ownMac.high;
    this.macLow = ownMac.low;
  }

  push(view: DataView, at: number, innerVersion: number, table: RouteTable, peer: number): void {
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
