/**
 * IPv4 and IPv6 headers (RFC 791, RFC 8200). {@link parseIp} is the gate: it checks every length once, and code behind it
 * may read the fields it found without looking again.
 */

export const PROTOCOL = { icmp4: 1, tcp: 6, udp: 17, icmp6: 58 } as const;

const IPV4_HEADER_BYTES_MIN = 20;
const IPV6_HEADER_BYTES = 40;
/** Extension headers we walk before giving up: real packets have one or two. */
const EXTENSIONS_MAX = 8;
/** Third word of an IPv4-mapped address (shared/address.ts). */
const MAPPED = 0xffff;

/** One packet's header, reused for every packet: all fields are small integers, so filling it allocates nothing. */
export class IpHeader {
  /** 4 or 6 */
  version = 0;
  /** whole packet in bytes, from the header's own length field */
  totalBytes = 0;
  /** bytes before the transport header (options and extension headers included) */
  transport = 0;
  /** transport protocol; for a packet whose extension headers are too long, the header where the walk ended */
  protocol = 0;
  /** TOS or traffic class byte */
  tos = 0;
  /** TTL or hop limit */
  ttl = 0;
  /** part of a fragmented packet, the first fragment included */
  isFragment = false;
  /** a fragment that does not begin with the transport header */
  isLaterFragment = false;
  /** source and destination as four signed words; IPv4 is ::ffff:a.b.c.d */
  source0 = 0;
  source1 = 0;
  source2 = 0;
  source3 = 0;
  destination0 = 0;
  destination1 = 0;
  destination2 = 0;
  destination3 = 0;
}

/** Reads the header at `at` of a packet of `length` bytes (trailing bytes are allowed). False: no valid IP packet. */
export function parseIp(view: DataView, at: number, length: number, header: IpHeader): boolean {
  if (length < IPV4_HEADER_BYTES_MIN) return false;
  const version = view.getUint8(at) >>> 4;
  if (version === 4) return parseIpv4(view, at, length, header);
  return version === 6 && parseIpv6(view, at, length, header);
}

function parseIpv4(view: DataView, at: number, length: number, header: IpHeader): boolean {
  const headerBytes = (view.getUint8(at) & 0x0f) * 4;
  const totalBytes = view.getUint16(at + 2);
  if (headerBytes < IPV4_HEADER_BYTES_MIN || totalBytes < headerBytes || totalBytes > length) {
    return false;
  }
  const fragment = view.getUint16(at + 6);
  header.version = 4;
  header.totalBytes = totalBytes;
  header.transport = headerBytes;
  header.protocol = view.getUint8(at + 9);
  header.tos = view.getUint8(at + 1);
  header.ttl = view.getUint8(at + 8);
  header.isFragment = (fragment & 0x3fff) !== 0;
  header.isLaterFragment = (fragment & 0x1fff) !== 0;
  header.source0 = 0;
  header.source1 = 0;
  header.source2 = MAPPED;
  header.source3 = view.getInt32(at + 12);
  header.destination0 = 0;
  header.destination1 = 0;
  header.destination2 = MAPPED;
  header.destination3 = view.getInt32(at + 16);
  return true;
}

function parseIpv6(view: DataView, at: number, length: number, header: IpHeader): boolean {
  if (length < IPV6_HEADER_BYTES) return false;
  const totalBytes = IPV6_HEADER_BYTES + view.getUint16(at + 4);
  if (totalBytes > length) return false;
  header.version = 6;
  header.totalBytes = totalBytes;
  header.tos = (view.getUint16(at) >>> 4) & 0xff;
  header.ttl = view.getUint8(at + 7);
  header.isFragment = false;
  header.isLaterFragment = false;
  header.source0 = view.getInt32(at + 8);
  header.source1 = view.getInt32(at + 12);
  header.source2 = view.getInt32(at + 16);
  header.source3 = view.getInt32(at + 20);
  header.destination0 = view.getInt32(at + 24);
  header.destination1 = view.getInt32(at + 28);
  header.destination2 = view.getInt32(at + 32);
  header.destination3 = view.getInt32(at + 36);
  header.protocol = view.getUint8(at + 6);
  header.transport = IPV6_HEADER_BYTES;
  if (isExtension(header.protocol)) walkExtensions(view, at, header);
  return true;
}

function isExtension(nextHeader: number): boolean {
  return nextHeader === 0 || nextHeader === 43 || nextHeader === 44 || nextHeader === 60;
}

/** Moves protocol and transport behind hop-by-hop, routing, fragment and destination headers (RFC 8200 section 4). */
function walkExtensions(view: DataView, at: number, header: IpHeader): void {
  for (let walked = 0; walked < EXTENSIONS_MAX && isExtension(header.protocol); walked++) {
    const left = header.totalBytes - header.transport;
    if (left < 8) return;
    const here = at + header.transport;
    const isFragmentHeader = header.protocol === 44;
    const bytes = isFragmentHeader ? 8 : 8 * (view.getUint8(here + 1) + 1);
    if (bytes > left) return;
    if (isFragmentHeader) {
      const fragment = view.getUint16(here + 2);
      // An atomic fragment (RFC 6946: offset 0, no more) is a whole packet but still must not be merged or cut.
      header.isFragment = true;
      header.isLaterFragment = fragment >>> 3 !== 0;
    }
    header.protocol = view.getUint8(here);
    header.transport += bytes;
    if (header.isLaterFragment) return;
  }
}

/** Whether `bytes` of a transport header can be read: the packet is no later fragment and long enough. */
export function hasTransport(header: IpHeader, bytes: number): boolean {
  return !header.isLaterFragment && header.totalBytes - header.transport >= bytes;
}

/** Lowers an IPv4 TTL by one and mends the header checksum (RFC 1141), or lowers an IPv6 hop limit. */
export function lowerTtl(view: DataView, at: number, header: IpHeader): void {
  if (header.version === 6) {
    view.setUint8(at + 7, header.ttl - 1);
    return;
  }
  view.setUint8(at + 8, header.ttl - 1);
  const sum = view.getUint16(at + 10) + 0x0100;
  view.setUint16(at + 10, sum >= 0xffff ? sum - 0xffff : sum);
}

/** `words`: an address as shared/address.ts has it. */
export function isSource(
  header: IpHeader,
  words: readonly [number, number, number, number],
): boolean {
  return (
    header.source3 === words[3] &&
    header.source2 === words[2] &&
    header.source1 === words[1] &&
    header.source0 === words[0]
  );
}

export function isDestination(
  header: IpHeader,
  words: readonly [number, number, number, number],
): boolean {
  return (
    header.destination3 === words[3] &&
    header.destination2 === words[2] &&
    header.destination1 === words[1] &&
    header.destination0 === words[0]
  );
}

/** Shortens a packet to `bytes`: its length field, and the IPv4 header checksum (RFC 1624). */
export function setTotalBytes(view: DataView, at: number, header: IpHeader, bytes: number): void {
  header.totalBytes = bytes;
  if (header.version === 6) {
    view.setUint16(at + 4, bytes - IPV6_HEADER_BYTES);
    return;
  }
  const before = view.getUint16(at + 2);
  view.setUint16(at + 2, bytes);
  let sum = (~view.getUint16(at + 10) & 0xffff) + (~before & 0xffff) + bytes;
  sum = (sum >>> 16) + (sum & 0xffff);
  sum = (sum >>> 16) + (sum & 0xffff);
  view.setUint16(at + 10, ~sum & 0xffff);
}

/** One's complement sum of a transport's pseudo header, folded, not complemented: what a partial checksum field holds. */
export function pseudoHeaderSum(header: IpHeader): number {
  let sum =
    (header.source3 >>> 16) +
    (header.source3 & 0xffff) +
    (header.destination3 >>> 16) +
    (header.destination3 & 0xffff) +
    header.protocol +
    (header.totalBytes - header.transport);
  if (header.version === 6) {
    sum +=
      (header.source0 >>> 16) +
      (header.source0 & 0xffff) +
      (header.source1 >>> 16) +
      (header.source1 & 0xffff) +
      (header.source2 >>> 16) +
      (header.source2 & 0xffff) +
      (header.destination0 >>> 16) +
      (header.destination0 & 0xffff) +
      (header.destination1 >>> 16) +
      (header.destination1 & 0xffff) +
      (header.destination2 >>> 16) +
      (header.destination2 & 0xffff);
  }
  sum = (sum >>> 16) + (sum & 0xffff);
  return (sum >>> 16) + (sum & 0xffff);
}

/** A hash of the flow that is equal in both directions, as kernel VXLAN uses for its source port. */
export function symmetricFlowHash(view: DataView, at: number, header: IpHeader): number {
  let hash = header.source3 ^ header.destination3 ^ header.protocol;
  if (header.version === 6) {
    hash ^= header.source0 ^ header.destination0;
    hash ^= Math.imul(header.source1 ^ header.destination1, 0x9e3779b1);
    hash ^= Math.imul(header.source2 ^ header.destination2, 0x85ebca6b);
  }
  const hasPorts = header.protocol === PROTOCOL.tcp || header.protocol === PROTOCOL.udp;
  // A flow must not change its hash when some of its packets are fragments, so fragments hash without ports like no other.
  if (hasPorts && !header.isFragment && hasTransport(header, 4)) {
    const ports = view.getInt32(at + header.transport);
    hash ^= Math.imul((ports >>> 16) ^ (ports & 0xffff), 0x27d4eb2f);
  }
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  // 31 bits: a larger number would be boxed on the heap, once per packet.
  return (hash ^ (hash >>> 13)) & 0x7fffffff;
}

/** 0/8, 127/8, 169.254/16, 224/4, 240/4 with broadcast: no packet on the overlay comes from there or goes there. */
function isOddIpv4(word: number): boolean {
  const first = word >>> 24;
  return first === 0 || first === 127 || first >= 224 || word >>> 16 === 0xa9fe;
}

/** ff00::/8, fe80::/10, the unspecified and the loopback address, and IPv4-mapped ones, which never leave a host. */
function isOddIpv6(w0: number, w1: number, w2: number, w3: number): boolean {
  if (w0 >>> 24 === 0xff || w0 >>> 22 === 0xfe80 >>> 6) return true;
  return (w0 | w1) === 0 && (w2 === MAPPED || (w2 === 0 && (w3 === 0 || w3 === 1)));
}

/** True when the source can't be a unicast sender of another link. */
export function hasOddSource(header: IpHeader): boolean {
  return header.version === 4
    ? isOddIpv4(header.source3)
    : isOddIpv6(header.source0, header.source1, header.source2, header.source3);
}

/** True when the overlay carries nothing to such a destination. */
export function hasOddDestination(header: IpHeader): boolean {
  return header.version === 4
    ? isOddIpv4(header.destination3)
    : isOddIpv6(header.destination0, header.destination1, header.destination2, header.destination3);
}
