/** Inner packets as a kernel hands them over, and a slow checksum to judge what comes out. */

/** One's complement sum of big-endian words, two bytes at a time. */
export function slowSum(bytes: Uint8Array, seed = 0): number {
  let sum = seed;
  for (let at = 0; at < bytes.length; at += 2) {
    sum += ((bytes[at] as number) << 8) | (bytes[at + 1] ?? 0);
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

export const PROTOCOL = { tcp: 6, udp: 17 } as const;

/** Sum of the pseudo header of an IP packet. */
export function pseudoSum(ip: Buffer, protocol: number, transportBytes: number): number {
  const addresses =
    ip[0] === undefined || ip[0] >> 4 === 4 ? ip.subarray(12, 20) : ip.subarray(8, 40);
  return slowSum(addresses, protocol + transportBytes);
}

/** True when the transport checksum over pseudo header and bytes is right. */
export function transportValid(ip: Buffer, start: number, protocol: number): boolean {
  const transport = ip.subarray(start);
  return slowSum(transport, pseudoSum(ip, protocol, transport.length)) === 0xffff;
}

export function ip4HeaderValid(ip: Buffer): boolean {
  return slowSum(ip.subarray(0, ((ip[0] as number) & 15) * 4)) === 0xffff;
}

export interface PacketInput {
  version: 4 | 6;
  protocol: 'tcp' | 'udp';
  payload: Uint8Array;
  /** IPv4 options or IPv6 extension header bytes (a multiple of 4 resp. 8) */
  extension?: number;
  tcpOptions?: number;
  flags?: number;
  sequence?: number;
  id?: number;
}

export interface Packet {
  bytes: Buffer;
  /** where the transport header starts */
  start: number;
  headerBytes: number;
}

function ipHeader(input: PacketInput, rest: number): Buffer {
  const extension = input.extension ?? 0;
  const protocol = PROTOCOL[input.protocol];
  if (input.version === 4) {
    const ip = Buffer.alloc(20 + extension, 1); // options: NOPs
    ip.writeUInt32BE((((0x45 + extension / 4) << 24) | (ip.length + rest)) >>> 0, 0);
    ip.writeUInt32BE((((input.id ?? 7) << 16) | 0x4000) >>> 0, 4);
    ip.writeUInt32BE(((64 << 24) | (protocol << 16)) >>> 0, 8);
    ip.set([10, 42, 1, 2, 10, 42, 2, 3], 12);
    ip.writeUInt16BE(~slowSum(ip) & 0xffff, 10);
    return ip;
  }
  const ip = Buffer.alloc(40 + extension);
  ip[0] = 0x60;
  ip.writeUInt16BE(extension + rest, 4);
  ip[6] = extension ? 60 : protocol; // destination options
  ip[7] = 64;
  ip.set([0xfd, 0x42, 1, 2], 8);
  ip.set([0xfd, 0x42, 2, 3], 24);
  if (extension) {
    ip[40] = protocol;
    ip[41] = extension / 8 - 1;
    ip.set([1, extension - 4], 42); // PadN
  }
  return ip;
}

function transportHeader(input: PacketInput): Buffer {
  if (input.protocol === 'udp') {
    const udp = Buffer.alloc(8);
    udp.writeUInt16BE(4000, 0);
    udp.writeUInt16BE(5000, 2);
    udp.writeUInt16BE(8 + input.payload.length, 4);
    return udp;
  }
  const tcp = Buffer.alloc(20 + (input.tcpOptions ?? 0), 1);
  tcp.writeUInt16BE(4000, 0);
  tcp.writeUInt16BE(5000, 2);
  tcp.writeUInt32BE(input.sequence ?? 1000, 4);
  tcp[12] = (tcp.length / 4) << 4;
  tcp[13] = input.flags ?? 0x10;
  tcp.fill(0, 16, 18);
  return tcp;
}

/** A packet whose transport checksum field holds the pseudo header's sum, as NEEDS_CSUM promises. */
export function buildPacket(input: PacketInput): Packet {
  const transport = transportHeader(input);
  const ip = ipHeader(input, transport.length + input.payload.length);
  const sum = pseudoSum(ip, PROTOCOL[input.protocol], transport.length + input.payload.length);
  transport.writeUInt16BE(sum, input.protocol === 'tcp' ? 16 : 6);
  return {
    bytes: Buffer.concat([ip, transport, input.payload]),
    start: ip.length,
    headerBytes: ip.length + transport.length,
  };
}

/** Bytes that differ everywhere, so that a misplaced slice shows. */
export function pattern(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed >>> 0;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}
