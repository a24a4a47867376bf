/** The few TCP and UDP fields the overlay looks at (RFC 9293, RFC 768). Offsets are from the transport header. */

export const TCP_HEADER_BYTES_MIN = 20;
export const UDP_HEADER_BYTES = 8;
export const TCP_CHECKSUM_AT = 16;
export const UDP_CHECKSUM_AT = 6;

/** Length of a TCP header from its data offset; less than 20 means a broken one. */
export function tcpHeaderBytes(view: DataView, transportAt: number): number {
  return (view.getUint8(transportAt + 12) >>> 4) * 4;
}

export function destinationPort(view: DataView, transportAt: number): number {
  return view.getUint16(transportAt + 2);
}
