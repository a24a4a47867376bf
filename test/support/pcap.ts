/** Reads classic pcap files (little endian): of Ethernet frames with microseconds, and those that weft makes itself. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { projectRoot } from '../../src/shared/root.ts';

export interface Datagram {
  version: 4 | 6;
  /** outer source address bytes */
  source: Uint8Array;
  destinationPort: number;
  /** UDP payload as captured (may be cut) and its real length */
  payload: Uint8Array;
  payloadBytes: number;
}

/** UDP datagrams of test/golden/<name>, outer fragments and other frames left out. */
export function readDatagrams(name: string): Datagram[] {
  const file = readFileSync(path.join(projectRoot(), 'test/golden', name));
  return readFrames(file)
    .map(parseFrame)
    .filter((datagram) => datagram !== undefined);
}

/** Ethernet frames, as far as they were captured. */
export function readFrames(file: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 24; at < file.length; ) {
    const captured = file.readUInt32LE(at + 8);
    frames.push(file.subarray(at + 16, at + 16 + captured));
    at += 16 + captured;
  }
  return frames;
}

function parseFrame(frame: Buffer): Datagram | undefined {
  const type = frame.readUInt16BE(12);
  const ip = frame.subarray(14);
  if (type === 0x0800 && ip[9] === 17 && (ip.readUInt16BE(6) & 0x3fff) === 0) {
    return toDatagram(4, ip.subarray(12, 16), ip.subarray(((ip[0] as number) & 15) * 4));
  }
  if (type === 0x86dd && ip[6] === 17) return toDatagram(6, ip.subarray(8, 24), ip.subarray(40));
  return undefined;
}

function toDatagram(version: 4 | 6, source: Uint8Array, udp: Buffer): Datagram {
  return {
    version,
    source,
    destinationPort: udp.readUInt16BE(2),
    payload: udp.subarray(8, Math.min(udp.length, udp.readUInt16BE(4))),
    payloadBytes: udp.readUInt16BE(4) - 8,
  };
}

export interface RawPacket {
  /** ns since the epoch */
  atNs: bigint;
  /** real length; `bytes` may be less */
  packetBytes: number;
  bytes: Buffer;
}

/** Packets of a capture that weft made: ns, beginning with IP. Throws when it is not whole. */
export function readRawPackets(file: Buffer): RawPacket[] {
  if (file.readUInt32LE(0) !== 0xa1b23c4d || file.readUInt32LE(20) !== 101)
    throw new Error('no pcap with nanoseconds and IP packets');
  const packets: RawPacket[] = [];
  for (let at = 24; at < file.length; ) {
    const captured = file.readUInt32LE(at + 8);
    const bytes = file.subarray(at + 16, at + 16 + captured);
    if (bytes.length !== captured) throw new Error('the last packet is cut');
    const atNs = BigInt(file.readUInt32LE(at)) * 1_000_000_000n + BigInt(file.readUInt32LE(at + 4));
    packets.push({ atNs, packetBytes: file.readUInt32LE(at + 12), bytes });
    at += 16 + captured;
  }
  return packets;
}
