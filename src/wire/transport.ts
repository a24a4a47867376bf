/** The few TCP and UDP fields the overlay looks at (RFC 9293, RFC 768). Offsets are from the transport header. */
import { hasTransport, type IpHeader, PROTOCOL, pseudoHeaderSum, setTotalBytes } from './ip.ts';

export const TCP_HEADER_BYTES_MIN = 20;
export const UDP_HEADER_BYTES = 8;
export const TCP_CHECKSUM_AT = 16;
export const UDP_CHECKSUM_AT = 6;

const TCP_FLAGS_AT = 13;
const FIN_SYN_RST = 0x07;
const FIN_SYN_RST_URG = 0x27;

/** Length of a TCP header from its data offset; less than 20 means a broken one. */
export function tcpHeaderBytes(view: DataView, transportAt: number): number {
  return (view.getUint8(transportAt + 12) >>> 4) * 4;
}

export function destinationPort(view: DataView, transportAt: number): number {
  return view.getUint16(transportAt + 2);
}

/** A TCP segment that only acknowledges: nobody waits for its payload, because it has none. */
export function isPureAck(view: DataView, at: number, header: IpHeader): boolean {
  if (header.protocol !== PROTOCOL.tcp || !hasTransport(header, TCP_HEADER_BYTES_MIN)) return false;
  const transportAt = at + header.transport;
  if ((view.getUint8(transportAt + TCP_FLAGS_AT) & FIN_SYN_RST) !== 0) return false;
  return tcpHeaderBytes(view, transportAt) >= header.totalBytes - header.transport;
}

/** Whether a TCP packet's payload fits one segment. */
export function isOneSegment(
  view: DataView,
  at: number,
  { transport, totalBytes }: IpHeader,
  segmentBytes: number,
): boolean {
  return totalBytes - transport - tcpHeaderBytes(view, at + transport) <= segmentBytes;
}

/**
 * Takes the last segment off a TCP super-packet, whose checksum field holds the bare pseudo-header sum: what is left is what would arrive
 * if the network lost that segment. Returns the bytes cut; 0 and nothing changed where it is a single segment, and where flags belong to
 * its last byte.
 */
export function cutLastSegment(
  view: DataView,
  at: number,
  header: IpHeader,
  segmentBytes: number,
): number {
  if (!hasTransport(header, TCP_HEADER_BYTES_MIN)) return 0;
  const transportAt = at + header.transport;
  const tcpBytes = tcpHeaderBytes(view, transportAt);
  const payload = header.totalBytes - header.transport - tcpBytes;
  const isWhole = (view.getUint8(transportAt + TCP_FLAGS_AT) & FIN_SYN_RST_URG) !== 0;
  if (isWhole || tcpBytes < TCP_HEADER_BYTES_MIN || segmentBytes <= 0 || payload <= segmentBytes)
    return 0;
  const cut = payload % segmentBytes || segmentBytes;
  setTotalBytes(view, at, header, header.totalBytes - cut);
  view.setUint16(transportAt + TCP_CHECKSUM_AT, pseudoHeaderSum(header));
  return cut;
}
