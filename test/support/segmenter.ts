/**
 * What a kernel makes of one write to a TUN: super-packets are cut, checksums are finished. Slow and plain, and strict about
 * the header fields that a kernel trusts.
 */
import assert from 'node:assert/strict';
import { GSO } from '../../src/memory/layout.ts';
import { slowChecksum } from './packets.ts';

/** virtio_net_hdr and the packet behind it. */
export interface Written {
  flags: number;
  gsoType: number;
  headerBytes: number;
  gsoSize: number;
  csumStart: number;
  csumOffset: number;
  packet: Uint8Array;
}

/** `flags` of a virtio_net_hdr: the checksum field holds the pseudo header's sum only. */
export const NEEDS_CSUM = 1;
export const PROTOCOL = { tcp: 6, udp: 17 } as const;
export const TCP_FLAG = {
  fin: 0x01,
  syn: 0x02,
  rst: 0x04,
  psh: 0x08,
  ack: 0x10,
  urg: 0x20,
  ece: 0x40,
  cwr: 0x80,
} as const;

export function viewOf(packet: Uint8Array): DataView {
  return new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
}

/** Where the transport header starts, if nothing but a plain IP header is in front of it. */
export function transportAt(packet: Uint8Array): number {
  const first = packet[0] as number;
  return first >> 4 === 4 ? (first & 15) * 4 : 40;
}

export function protocolOf(packet: Uint8Array): number {
  return packet[(packet[0] as number) >> 4 === 4 ? 9 : 6] as number;
}

function checksumOffset(protocol: number): number {
  return protocol === PROTOCOL.tcp ? 16 : 6;
}

function pseudoHeader(packet: Uint8Array, start: number): Uint8Array {
  const length = packet.length - start;
  const addresses = packet.subarray(start === 40 ? 8 : 12, start === 40 ? 40 : 20);
  return Uint8Array.of(...addresses, 0, protocolOf(packet), length >> 8, length & 255);
}

export function writeIpChecksum(packet: Uint8Array): void {
  if ((packet[0] as number) >> 4 !== 4) return;
  const view = viewOf(packet);
  view.setUint16(10, 0);
  view.setUint16(10, slowChecksum(packet.subarray(0, transportAt(packet))));
}

/** Makes the TCP or UDP checksum right. */
export function writeTransportChecksum(packet: Uint8Array): void {
  const start = transportAt(packet);
  const at = start + checksumOffset(protocolOf(packet));
  const view = viewOf(packet);
  view.setUint16(at, 0);
  const covered = Buffer.concat([pseudoHeader(packet, start), packet.subarray(start)]);
  const sum = slowChecksum(covered);
  view.setUint16(at, sum === 0 && protocolOf(packet) === PROTOCOL.udp ? 0xffff : sum);
}

/** The same packet as a kernel with checksum offload hands it over: only the pseudo header is summed. */
export function withPartialChecksum(packet: Uint8Array): Uint8Array {
  const partial = packet.slice();
  const start = transportAt(partial);
  const sum = ~slowChecksum(pseudoHeader(partial, start)) & 0xffff;
  viewOf(partial).setUint16(start + checksumOffset(protocolOf(partial)), sum);
  return partial;
}

function assertSuperPacket(written: Written): void {
  const { packet, gsoType, csumStart, headerBytes } = written;
  const view = viewOf(packet);
  const is4 = (packet[0] as number) >> 4 === 4;
  const protocol = protocolOf(packet);
  const start = transportAt(packet);
  if (protocol === PROTOCOL.tcp) assert.equal(gsoType, is4 ? GSO.tcp4 : GSO.tcp6, 'gso type');
  else assert.equal(gsoType, GSO.udpL4, 'gso type');
  assert.equal(written.flags, NEEDS_CSUM, 'vnet flags');
  assert.equal(csumStart, start, 'csum_start');
  assert.equal(written.csumOffset, checksumOffset(protocol), 'csum_offset');
  const transportBytes = protocol === PROTOCOL.tcp ? ((packet[start + 12] as number) >> 4) * 4 : 8;
  assert.equal(headerBytes, start + transportBytes, 'hdr_len');
  assert.ok(packet.length - headerBytes > written.gsoSize, 'more than one segment');
  assert.equal(is4 ? view.getUint16(2) : view.getUint16(4) + 40, packet.length, 'IP length');
  if (is4) assert.equal(slowChecksum(packet.subarray(0, start)), 0, 'IP header checksum');
  if (protocol === PROTOCOL.udp) {
    assert.equal(view.getUint16(start + 4), packet.length - start, 'UDP length');
  }
  assert.deepEqual(withPartialChecksum(packet), packet, 'pseudo header sum');
}

function cutSegment({ packet, headerBytes, gsoSize }: Written, index: number): Uint8Array {
  const from = headerBytes + index * gsoSize;
  const payload = packet.subarray(from, from + gsoSize);
  const segment = Buffer.concat([packet.subarray(0, headerBytes), payload]);
  const start = transportAt(packet);
  const view = viewOf(segment);
  if (start === 40) view.setUint16(4, segment.length - 40);
  else {
    view.setUint16(2, segment.length);
    view.setUint16(4, view.getUint16(4) + index);
  }
  if (protocolOf(packet) === PROTOCOL.udp) view.setUint16(start + 4, segment.length - start);
  else {
    view.setUint32(start + 4, view.getUint32(start + 4) + index * gsoSize);
    const isLast = from + gsoSize >= packet.length;
    const onlyLast = isLast ? 0 : TCP_FLAG.fin | TCP_FLAG.psh;
    const onlyFirst = index === 0 ? 0 : TCP_FLAG.cwr;
    segment[start + 13] = view.getUint8(start + 13) & ~(onlyLast | onlyFirst);
  }
  writeIpChecksum(segment);
  writeTransportChecksum(segment);
  return new Uint8Array(segment);
}

/** The packets that one write stands for. */
export function segmented(written: Written): Uint8Array[] {
  if (written.gsoType === GSO.none) return [written.packet];
  assertSuperPacket(written);
  const count = Math.ceil((written.packet.length - written.headerBytes) / written.gsoSize);
  return Array.from({ length: count }, (_, index) => cutSegment(written, index));
}

/** A datagram that must not be fragmented has no use for its IPv4 identification (RFC 6864); two of them compare without. */
export function withoutAtomicId(packet: Uint8Array): Uint8Array {
  const isAtomic = (packet[0] as number) >> 4 === 4 && (packet[6] as number) & 0x40;
  if (!isAtomic) return packet;
  const same = packet.slice();
  viewOf(same).setUint16(4, 0);
  writeIpChecksum(same);
  return same;
}
