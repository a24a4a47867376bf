/** Explicit congestion notification through a tunnel: what kernel VXLAN does (include/net/inet_ecn.h, RFC 6040). */

const ECN_MASK = 3;
const ECT_0 = 2;
/** congestion experienced, in the low bits of a TOS byte */
export const CE = 3;

/** Outer TOS byte for an inner one: DSCP is not copied, ECN is, and CE becomes ECT(0). */
export function outerTos(innerTos: number): number {
  const ecn = innerTos & ECN_MASK;
  return ecn === CE ? ECT_0 : ecn;
}

/** True when the outer packet was marked CE and the inner one does not know ECN: RFC 6040 says drop. */
export function mustDrop(outer: number, innerTos: number): boolean {
  return (outer & ECN_MASK) === CE && (innerTos & ECN_MASK) === 0;
}

/** True when the outer mark has to be carried over to the inner packet. */
export function mustMark(outer: number, innerTos: number): boolean {
  return (outer & ECN_MASK) === CE && (innerTos & ECN_MASK) !== CE;
}

/** Whether the sender understands marks, by the inner TOS byte. */
export function knowsEcn(tos: number): boolean {
  return (tos & ECN_MASK) !== 0;
}

/** Sets CE in the IP header at `at` and mends the IPv4 header checksum. */
export function markCongestion(view: DataView, at: number): void {
  if (view.getUint8(at) >>> 4 === 6) {
    view.setUint8(at + 1, view.getUint8(at + 1) | (CE << 4));
    return;
  }
  const before = view.getUint16(at);
  const after = before | CE;
  view.setUint16(at, after);
  // RFC 1624: HC' = ~(~HC + ~m + m')
  let sum = (~view.getUint16(at + 10) & 0xffff) + (~before & 0xffff) + after;
  sum = (sum >>> 16) + (sum & 0xffff);
  sum = (sum >>> 16) + (sum & 0xffff);
  view.setUint16(at + 10, ~sum & 0xffff);
}
