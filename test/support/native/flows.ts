/** Packets of flows that may be merged, and ways to change them. */
import { type FlowFields, pattern, type TcpFields, tcpPacket, udpPacket } from '../packets.ts';
import { transportAt, viewOf, writeIpChecksum, writeTransportChecksum } from '../segmenter.ts';
import type { TunRow } from './tun-rig.ts';

export type Version = 4 | 6;
export type Protocol = 'tcp' | 'udp';

export const VERSIONS: readonly Version[] = [4, 6];
export const HOSTS = {
  4: { source: '10.42.1.2', destination: '10.42.2.3' },
  6: { source: 'fd42:1::2', destination: 'fd42:2::3' },
} as const;
/** Payload of a packet unless told otherwise. */
export const BYTES = 100;

/** The `index`-th packet of a flow that may all be merged. */
export function tcp(version: Version, index: number, change: Partial<TcpFields> = {}): Uint8Array {
  const payload = pattern(BYTES, index + 1);
  return tcpPacket({
    ...HOSTS[version],
    seq: 1000 + index * BYTES,
    id: 7 + index,
    payload,
    ...change,
  });
}

export function udp(version: Version, index: number, change: Partial<FlowFields> = {}): Uint8Array {
  return udpPacket({
    ...HOSTS[version],
    id: 7 + index,
    payload: pattern(BYTES, index + 1),
    ...change,
  });
}

export const FLOW = { tcp, udp } as const;

/** View of the packet and where its transport header starts. */
export type Edit = (view: DataView, at: number) => void;

/** The packet with changed bytes and the checksums it had. */
export function spoiled(packet: Uint8Array, edit: Edit): Uint8Array {
  const copy = packet.slice();
  edit(viewOf(copy), transportAt(copy));
  return copy;
}

/** The packet with a changed IP header and a right sum of that alone. */
export function ipEdited(packet: Uint8Array, edit: Edit): Uint8Array {
  const copy = spoiled(packet, edit);
  writeIpChecksum(copy);
  return copy;
}

/** The packet with changed headers and right checksums. */
export function edited(packet: Uint8Array, edit: Edit): Uint8Array {
  const copy = ipEdited(packet, edit);
  writeTransportChecksum(copy);
  return copy;
}

export function rowsOf(packets: readonly Uint8Array[]): TunRow[] {
  return packets.map((packet) => ({ packet }));
}
