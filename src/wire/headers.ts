/** Headers of packets that this program makes by itself. What the workers send is written where it is on its way. */
import type { Mac, Words } from '../shared/address.ts';
import { fold, sumWords } from './checksum.ts';
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES } from './icmp.ts';
import { ETHERTYPE, VXLAN, VXLAN_FLAGS } from './vxlan.ts';

export const ETHERNET_HEADER_BYTES = 14;
export const IP_HEADER_BYTES = { 4: IPV4_HEADER_BYTES, 6: IPV6_HEADER_BYTES } as const;

export interface IpFields {
  family: 4 | 6;
  source: Words;
  destination: Words;
  protocol: number;
  ttl: number;
  /** the IPv4 identification, or the IPv6 flow label */
  mark: number;
  /** behind this header */
  payloadBytes: number;
}

export function writeEthernet(
  view: DataView,
  at: number,
  destination: Mac,
  source: Mac,
  etherType: number,
): void {
  writeMac(view, at, destination);
  writeMac(view, at + 6, source);
  view.setUint16(at + 12, etherType);
}

export function etherTypeOf(family: 4 | 6): number {
  return family === 4 ? ETHERTYPE.ipv4 : ETHERTYPE.ipv6;
}

/** Without options or extensions; IPv4 with its checksum. The bytes must be zero before. */
export function writeIp(view: DataView, at: number, fields: IpFields): void {
  if (fields.family === 4) writeIpv4(view, at, fields);
  else writeIpv6(view, at, fields);
}

function writeIpv4(view: DataView, at: number, fields: IpFields): void {
  view.setUint8(at, 0x45);
  view.setUint16(at + 2, IPV4_HEADER_BYTES + fields.payloadBytes);
  view.setUint16(at + 4, fields.mark);
  view.setUint8(at + 8, fields.ttl);
  view.setUint8(at + 9, fields.protocol);
  view.setInt32(at + 12, fields.source[3]);
  view.setInt32(at + 16, fields.destination[3]);
  view.setUint16(at + 10, ~fold(sumWords(view, at, at + IPV4_HEADER_BYTES)) & 0xffff);
}

function writeIpv6(view: DataView, at: number, fields: IpFields): void {
  view.setInt32(at, 0x60000000 | fields.mark);
  view.setUint16(at + 4, fields.payloadBytes);
  view.setUint8(at + 6, fields.protocol);
  view.setUint8(at + 7, fields.ttl);
  for (const [i, word] of fields.source.entries()) view.setInt32(at + 8 + 4 * i, word);
  for (const [i, word] of fields.destination.entries()) view.setInt32(at + 24 + 4 * i, word);
}

/** Without checksum. */
export function writeUdp(
  view: DataView,
  at: number,
  source: number,
  destination: number,
  bytes: number,
): void {
  view.setUint16(at, source);
  view.setUint16(at + 2, destination);
  view.setUint16(at + 4, bytes);
}

/** VXLAN header and inner Ethernet header. */
export function writeVxlan(
  view: DataView,
  at: number,
  vni: number,
  destination: Mac,
  source: Mac,
  etherType: number,
): void {
  view.setInt32(at + VXLAN.flags, VXLAN_FLAGS);
  view.setInt32(at + VXLAN.vniAndReserved, vni << 8);
  writeEthernet(view, at + VXLAN.destinationMac, destination, source, etherType);
}

function writeMac(view: DataView, at: number, { high, low }: Mac): void {
  view.setInt32(at, high);
  view.setUint16(at + 4, low);
}
