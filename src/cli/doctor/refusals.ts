/**
 * UDP ports on which nobody listens, as peers say it by ICMP, in answer to anybody's packets: the daemon's echoes to a peer that is dead
 * bring more of these errors than the peer's kernel sends (one a second, icmp(7)), and ours may get none. Where raw sockets are not to
 * be had nothing is heard.
 */
import { ICMP_HEADER_BYTES, IPV4_HEADER_BYTES } from '../../wire/icmp.ts';
import { loadRawSocket } from './raw-echo.ts';

const UNREACHABLE = 3;
const PORT = 3;
const UDP = 17;
/** What a router must quote of a UDP header holds both ports (RFC 792). */
const PORTS_BYTES = 4;

export class Refusals {
  private readonly heard = new Set<string>();
  private readonly end: () => void;

  /** Hears from now on. */
  constructor() {
    this.end = listen((refusal) => this.heard.add(nameOf(refusal)));
  }

  has(address: string, port: number): boolean {
    return this.heard.has(nameOf({ to: address, port }));
  }

  close(): void {
    this.end();
  }
}

export interface Refusal {
  to: string;
  port: number;
}

function nameOf({ to, port }: Refusal): string {
  return `${to} ${port}`;
}

/** Returns what ends it. */
function listen(onRefusal: (refusal: Refusal) => void): () => void {
  const raw = loadRawSocket();
  if (!raw) return () => undefined;
  try {
    const options = { protocol: raw.Protocol.ICMP, addressFamily: raw.AddressFamily.IPv4 };
    const socket = raw.createSocket(options);
    socket.on('error', () => undefined); // a message that can't be read is a lost one
    socket.on('message', (packet) => {
      const refusal = readRefusal(packet);
      if (refusal) onRefusal(refusal);
    });
    return () => socket.close();
  } catch {
    return () => undefined; // not root
  }
}

/** What an IPv4 packet with ICMP in it says; undefined for anything but "port unreachable" about UDP. */
export function readRefusal(packet: Buffer): Refusal | undefined {
  const at = headerBytes(packet, 0);
  const inner = at + ICMP_HEADER_BYTES;
  if (packet.length < inner + IPV4_HEADER_BYTES) return undefined;
  if (packet[at] !== UNREACHABLE || packet[at + 1] !== PORT || packet[inner + 9] !== UDP)
    return undefined;
  const ports = inner + headerBytes(packet, inner);
  if (packet.length < ports + PORTS_BYTES) return undefined;
  const to = packet.subarray(inner + 16, inner + IPV4_HEADER_BYTES).join('.');
  return { to, port: packet.readUInt16BE(ports + 2) };
}

function headerBytes(packet: Buffer, at: number): number {
  return ((packet[at] ?? 0) & 15) * 4;
}
