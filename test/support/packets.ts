/** Builds IP packets with correct checksums, slowly and plainly. */
import { addressBytes, parseAddress, type Words } from '../../src/shared/address.ts';

/** RFC 1071 sum, complemented, of big-endian words. */
export function slowChecksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += ((bytes[i] as number) << 8) | (bytes[i + 1] ?? 0);
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  return ~sum & 0xffff;
}

export interface PacketFields {
  source: string;
  destination: string;
  protocol: number;
  transport: Uint8Array;
  /** where the transport's checksum field lies; -1 = none */
  checksumAt: number;
  tos?: number;
  ttl?: number;
  id?: number;
  /** flags and fragment offset word of IPv4 */
  fragment?: number;
}

/** An IPv4 or IPv6 packet, by the family of its addresses. */
export function ipPacket(fields: PacketFields): Uint8Array {
  const source = addressBytes(parseAddress(fields.source) as Words);
  const destination = addressBytes(parseAddress(fields.destination) as Words);
  const is4 = source.length === 4;
  const headerBytes = is4 ? 20 : 40;
  const packet = new Uint8Array(headerBytes + fields.transport.length);
  const view = new DataView(packet.buffer);
  packet.set(fields.transport, headerBytes);
  if (fields.checksumAt >= 0) {
    const pseudo = Uint8Array.of(
      ...source,
      ...destination,
      0,
      fields.protocol,
      fields.transport.length >> 8,
      fields.transport.length & 255,
    );
    view.setUint16(headerBytes + fields.checksumAt, 0);
    const sum = slowChecksum(new Uint8Array([...pseudo, ...packet.subarray(headerBytes)]));
    view.setUint16(
      headerBytes + fields.checksumAt,
      sum === 0 && fields.protocol === 17 ? 0xffff : sum,
    );
  }
  if (is4) {
    view.setUint16(0, 0x4500 | (fields.tos ?? 0));
    view.setUint16(2, packet.length);
    view.setUint16(4, fields.id ?? 0);
    view.setUint16(6, fields.fragment ?? 0x4000);
    packet[8] = fields.ttl ?? 64;
    packet[9] = fields.protocol;
    packet.set(source, 12);
    packet.set(destination, 16);
    view.setUint16(10, slowChecksum(packet.subarray(0, 20)));
  } else {
    view.setUint32(0, 0x60000000 | ((fields.tos ?? 0) << 20));
    view.setUint16(4, fields.transport.length);
    packet[6] = fields.protocol;
    packet[7] = fields.ttl ?? 64;
    packet.set(source, 8);
    packet.set(destination, 24);
  }
  return packet;
}

export interface FlowFields {
  source: string;
  destination: string;
  sourcePort?: number;
  destinationPort?: number;
  payload?: Uint8Array;
  tos?: number;
  ttl?: number;
  id?: number;
}

export function udpPacket(fields: FlowFields): Uint8Array {
  const payload = fields.payload ?? new Uint8Array(0);
  const transport = new Uint8Array(8 + payload.length);
  const view = new DataView(transport.buffer);
  view.setUint16(0, fields.sourcePort ?? 4000);
  view.setUint16(2, fields.destinationPort ?? 5000);
  view.setUint16(4, transport.length);
  transport.set(payload, 8);
  return ipPacket({ ...fields, protocol: 17, transport, checksumAt: 6 });
}

export interface TcpFields extends FlowFields {
  seq?: number;
  ack?: number;
  /** ACK by default */
  flags?: number;
  options?: Uint8Array;
}

export function tcpPacket(fields: TcpFields): Uint8Array {
  const payload = fields.payload ?? new Uint8Array(0);
  const options = fields.options ?? new Uint8Array(0);
  const transport = new Uint8Array(20 + options.length + payload.length);
  const view = new DataView(transport.buffer);
  view.setUint16(0, fields.sourcePort ?? 4000);
  view.setUint16(2, fields.destinationPort ?? 5000);
  view.setUint32(4, fields.seq ?? 1);
  view.setUint32(8, fields.ack ?? 1);
  transport[12] = ((20 + options.length) / 4) << 4;
  transport[13] = fields.flags ?? 0x10;
  view.setUint16(14, 0x1000);
  transport.set(options, 20);
  transport.set(payload, 20 + options.length);
  return ipPacket({ ...fields, protocol: 6, transport, checksumAt: 16 });
}

/** True when the packet's TCP or UDP checksum is right. */
export function hasGoodChecksum(packet: Uint8Array): boolean {
  const is4 = (packet[0] as number) >> 4 === 4;
  const at = is4 ? ((packet[0] as number) & 15) * 4 : 40;
  const addresses = is4 ? packet.subarray(12, 20) : packet.subarray(8, 40);
  const protocol = packet[is4 ? 9 : 6] as number;
  const length = packet.length - at;
  const pseudo = [...addresses, 0, protocol, length >> 8, length & 255];
  return slowChecksum(new Uint8Array([...pseudo, ...packet.subarray(at)])) === 0;
}

/** Deterministic bytes. */
export function pattern(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed >>> 0 || 1;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** What a {@link Rig}'s peer sends it: a VXLAN header, the Ethernet header and the packet. */
export function vxlanPayload(packet: Uint8Array, vni = 1): Uint8Array {
  const bytes = new Uint8Array(22 + packet.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x08000000);
  view.setUint32(4, vni << 8);
  bytes.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2], 8);
  view.setUint16(20, (packet[0] as number) >> 4 === 4 ? 0x0800 : 0x86dd);
  bytes.set(packet, 22);
  return bytes;
}
