/** ICMP echo with DF by raw-socket, many sizes at once. Loads only on the main thread, and only where npm could build it (ADR 11). */
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { fold } from '../../wire/checksum.ts';
import { ICMP_HEADER_BYTES, IPV4_HEADER_BYTES } from '../../wire/icmp.ts';

interface RawSocket {
  on(event: 'message', listener: (packet: Buffer, source: string) => void): void;
  on(event: 'error', listener: (error: Error) => void): void;
  setOption(level: number, option: number, value: number): void;
  send(
    packet: Buffer,
    offset: number,
    length: number,
    address: string,
    done: (error: Error | null) => void,
  ): void;
  close(): void;
}
interface RawSocketModule {
  createSocket(options: { protocol: number; addressFamily: number }): RawSocket;
  Protocol: { ICMP: number };
  AddressFamily: { IPv4: number };
}

/** What came back from one address. */
export interface Echo {
  /** bytes of the largest IP packet that was answered, 0 = none */
  largestBytes: number;
  /** the smallest MTU that a router on the way named */
  namedMtu: number | undefined;
}

const IPPROTO_IP = 0;
const IP_MTU_DISCOVER = 10;
/** DF set, and what the kernel remembers about the path is not believed. */
const IP_PMTUDISC_PROBE = 3;

/** undefined where the module does not load. */
export function loadRawSocket(): RawSocketModule | undefined {
  try {
    return createRequire(import.meta.url)('raw-socket') as RawSocketModule;
  } catch {
    return undefined;
  }
}

/** One wave of echo requests, each size to each IPv4 address. Throws where raw sockets are not allowed. */
export async function rawEcho(
  raw: RawSocketModule,
  addresses: readonly string[],
  sizes: readonly number[],
  waitMs: number,
): Promise<Map<string, Echo>> {
  const options = { protocol: raw.Protocol.ICMP, addressFamily: raw.AddressFamily.IPv4 };
  const socket = raw.createSocket(options);
  const id = process.pid & 0xffff;
  const found = new Map<string, Echo>(
    addresses.map((address) => [address, { largestBytes: 0, namedMtu: undefined }]),
  );
  socket.on('error', () => undefined); // a message that can't be read is a lost one
  socket.on('message', (packet, source) => note(found, readIcmp(packet, id), source));
  socket.setOption(IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
  try {
    for (const address of addresses)
      for (const size of sizes) {
        const request = echoRequest(id, size);
        // Larger than the device: refused at once, which is an answer of its own.
        socket.send(request, 0, request.length, address, () => undefined);
      }
    await sleep(waitMs);
    return found;
  } finally {
    socket.close();
  }
}

export type Icmp = { kind: 'reply'; bytes: number } | { kind: 'tooBig'; to: string; mtu: number };

/** The sequence number carries the size of the IP packet. */
export function echoRequest(id: number, packetBytes: number): Buffer {
  const message = Buffer.alloc(packetBytes - IPV4_HEADER_BYTES);
  message.writeUInt8(8, 0);
  message.writeUInt16BE(id, 4);
  message.writeUInt16BE(packetBytes, 6);
  message.writeUInt16BE(~fold((8 << 8) + id + packetBytes) & 0xffff, 2);
  return message;
}

/** Makes sense of an IPv4 packet with ICMP in it; undefined for what is not ours. */
export function readIcmp(packet: Buffer, id: number): Icmp | undefined {
  const at = ((packet[0] ?? 0) & 15) * 4;
  if (packet.length < at + ICMP_HEADER_BYTES) return undefined;
  const [type, code] = [packet[at], packet[at + 1]];
  if (type === 0 && packet.readUInt16BE(at + 4) === id)
    return { kind: 'reply', bytes: packet.readUInt16BE(at + 6) };
  const inner = at + ICMP_HEADER_BYTES;
  if (type !== 3 || code !== 4 || packet.length < inner + IPV4_HEADER_BYTES + ICMP_HEADER_BYTES)
    return undefined;
  const message = inner + ((packet[inner] ?? 0) & 15) * 4;
  if (packet.length < message + 6 || packet.readUInt16BE(message + 4) !== id) return undefined;
  const to = packet.subarray(inner + 16, inner + 20).join('.');
  return { kind: 'tooBig', to, mtu: packet.readUInt16BE(at + 6) };
}

function note(found: Map<string, Echo>, icmp: Icmp | undefined, source: string): void {
  const echo = found.get(icmp?.kind === 'tooBig' ? icmp.to : source);
  if (!echo || !icmp) return;
  if (icmp.kind === 'reply') echo.largestBytes = Math.max(echo.largestBytes, icmp.bytes);
  else if (icmp.mtu > 0) echo.namedMtu = Math.min(echo.namedMtu ?? icmp.mtu, icmp.mtu);
}
