/** ICMP errors (RFC 792, RFC 1812, RFC 4443): which packets may be answered, and the answer's bytes without checksums. */
import { hasOddSource, hasTransport, type IpHeader, PROTOCOL } from './ip.ts';

export interface IcmpError {
  readonly type4: number;
  readonly code4: number;
  readonly type6: number;
  readonly code6: number;
}

/** RFC 792 net unreachable · RFC 4443 no route to destination */
export const UNREACHABLE: IcmpError = { type4: 3, code4: 0, type6: 1, code6: 0 };
/** Time (hop limit) exceeded in transit */
export const TIME_EXCEEDED: IcmpError = { type4: 11, code4: 0, type6: 3, code6: 0 };

export const IPV4_HEADER_BYTES = 20;
export const IPV6_HEADER_BYTES = 40;
export const ICMP_HEADER_BYTES = 8;
/** RFC 1812 4.3.2.3: as much of the offender as fits 576 bytes; RFC 4443: as fits 1280. */
const ANSWER_BYTES_MAX_4 = 576;
const ANSWER_BYTES_MAX_6 = 1280;
const ANSWER_TTL = 64;

/** RFC 1122 3.2.2 and RFC 4443 2.4(e): never answer errors, later fragments, or senders that are no unicast host. */
export function mayAnswer(view: DataView, at: number, header: IpHeader): boolean {
  if (header.isLaterFragment || hasOddSource(header)) return false;
  if (header.version === 4 && header.protocol === PROTOCOL.icmp4) {
    if (!hasTransport(header, 1)) return false;
    const type = view.getUint8(at + header.transport);
    return type === 0 || type === 8 || (type >= 13 && type <= 18);
  }
  if (header.version === 6 && header.protocol === PROTOCOL.icmp6) {
    return hasTransport(header, 1) && view.getUint8(at + header.transport) >= 128;
  }
  return true;
}

/** Bytes of the answer to this packet. */
export function answerBytes(header: IpHeader): number {
  return header.version === 4
    ? Math.min(ANSWER_BYTES_MAX_4, IPV4_HEADER_BYTES + ICMP_HEADER_BYTES + header.totalBytes)
    : Math.min(ANSWER_BYTES_MAX_6, IPV6_HEADER_BYTES + ICMP_HEADER_BYTES + header.totalBytes);
}

/**
 * Writes the answer's headers at `to` (the offender's bytes follow them); both checksum fields are left zero.
 * `source` is the answering device: one word for IPv4 (its last), four for IPv6.
 */
export function writeAnswerHeaders(
  view: DataView,
  to: number,
  header: IpHeader,
  error: IcmpError,
  source: readonly [number, number, number, number],
): void {
  const bytes = answerBytes(header);
  if (header.version === 4) {
    view.setUint16(to, 0x4500);
    view.setUint16(to + 2, bytes);
    view.setInt32(to + 4, 0);
    view.setUint8(to + 8, ANSWER_TTL);
    view.setUint8(to + 9, PROTOCOL.icmp4);
    view.setUint16(to + 10, 0);
    view.setInt32(to + 12, source[3]);
    view.setInt32(to + 16, header.source3);
    writeIcmpHeader(view, to + IPV4_HEADER_BYTES, error.type4, error.code4);
    return;
  }
  view.setInt32(to, 0x60000000);
  view.setUint16(to + 4, bytes - IPV6_HEADER_BYTES);
  view.setUint8(to + 6, PROTOCOL.icmp6);
  view.setUint8(to + 7, ANSWER_TTL);
  for (let word = 0; word < 4; word++) view.setInt32(to + 8 + 4 * word, source[word] as number);
  view.setInt32(to + 24, header.source0);
  view.setInt32(to + 28, header.source1);
  view.setInt32(to + 32, header.source2);
  view.setInt32(to + 36, header.source3);
  writeIcmpHeader(view, to + IPV6_HEADER_BYTES, error.type6, error.code6);
}

function writeIcmpHeader(view: DataView, at: number, type: number, code: number): void {
  view.setUint8(at, type);
  view.setUint8(at + 1, code);
  view.setUint16(at + 2, 0);
  view.setInt32(at + 4, 0);
}
