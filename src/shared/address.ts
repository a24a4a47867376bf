/**
 * IP addresses as the packet path sees them: four 32-bit words, most significant first; IPv4 is ::ffff:a.b.c.d.
 * Words are signed (what Int32Array yields), so equal addresses compare equal with ===.
 */
import ipaddr from 'ipaddr.js';

export type Words = readonly [number, number, number, number];

/** A prefix in the 128-bit space: IPv4 a.b.c.d/n has bits = 96 + n. Host bits are zero. */
export interface Prefix {
  words: Words;
  bits: number;
}

/** Third word of every IPv4-mapped address. */
export const MAPPED_WORD = 0xffff;

/** Parses strict dotted-quad IPv4 or RFC 4291 IPv6 text; undefined for anything else (zone ids included). */
export function parseAddress(text: string): Words | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) {
    if (/(^|\.)0\d/.test(text)) return undefined;
    const [a, b, c, d] = ipaddr.IPv4.parse(text).octets as [number, number, number, number];
    return [0, 0, MAPPED_WORD, (a << 24) | (b << 16) | (c << 8) | d];
  }
  if (!text.includes(':') || text.includes('%') || !ipaddr.IPv6.isValid(text)) return undefined;
  const p = ipaddr.IPv6.parse(text).parts;
  const word = (i: number): number => ((p[i] as number) << 16) | (p[i + 1] as number);
  return [word(0), word(2), word(4), word(6)];
}

/** 4 for IPv4-mapped words, else 6. */
export function familyOf(words: Words): 4 | 6 {
  return words[0] === 0 && words[1] === 0 && words[2] === MAPPED_WORD ? 4 : 6;
}

/** Canonical text (RFC 5952 for IPv6), as Go's net.IP prints it. */
export function formatAddress(words: Words): string {
  const bytes = addressBytes(words);
  return ipaddr.fromByteArray([...bytes]).toString();
}

/** 4 or 16 bytes, network order. */
export function addressBytes(words: Words): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  words.forEach((word, i) => {
    view.setInt32(i * 4, word);
  });
  return familyOf(words) === 4 ? bytes.subarray(12) : bytes;
}

/** Clears the host bits of an address. */
export function maskWords(words: Words, bits: number): Words {
  const masked = words.map((word, i) => word & maskOfWord(bits, i));
  return masked as unknown as Words;
}

/** The i-th 32-bit word of the netmask of a 128-bit prefix length. */
export function maskOfWord(bits: number, i: number): number {
  const inWord = Math.min(32, Math.max(0, bits - i * 32));
  return inWord === 0 ? 0 : (-1 << (32 - inWord)) | 0;
}

/** Parses "a.b.c.d/n" or "v6/n"; host bits are masked off. undefined when malformed. */
export function parsePrefix(text: string): Prefix | undefined {
  const slash = text.indexOf('/');
  if (slash < 0 || !/^\d{1,3}$/.test(text.slice(slash + 1))) return undefined;
  const words = parseAddress(text.slice(0, slash));
  if (!words) return undefined;
  const own = Number(text.slice(slash + 1));
  const bits = familyOf(words) === 4 ? 96 + own : own;
  if (bits > 128) return undefined;
  return { words: maskWords(words, bits), bits };
}

/** Prefix length as people write it: 0-32 for IPv4, 0-128 for IPv6. */
export function prefixLength(prefix: Prefix): number {
  return familyOf(prefix.words) === 4 && prefix.bits >= 96 ? prefix.bits - 96 : prefix.bits;
}

export function formatPrefix(prefix: Prefix): string {
  return `${formatAddress(prefix.words)}/${prefixLength(prefix)}`;
}

export function sameWords(a: Words, b: Words): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3];
}

export function prefixContains(prefix: Prefix, words: Words): boolean {
  return sameWords(maskWords(words, prefix.bits), prefix.words);
}

/** Whether the inner one lies in the outer one, or is the same. */
export function holdsPrefix(outer: Prefix, inner: Prefix): boolean {
  return outer.bits <= inner.bits && prefixContains(outer, inner.words);
}

/** A MAC address as two numbers: the first four bytes (signed word) and the last two. */
export interface Mac {
  high: number;
  low: number;
}

/** Where the wire carries no MACs. */
export const NO_MAC: Mac = { high: 0, low: 0 };

/** As Go's net.ParseMAC: "aa:bb:cc:dd:ee:ff", "aa-bb-…", "aabb.ccdd.eeff"; undefined when malformed. */
export function parseMac(text: string): Mac | undefined {
  const isMac =
    /^([0-9a-f]{2}([:-]))([0-9a-f]{2}\2){4}[0-9a-f]{2}$|^([0-9a-f]{4}\.){2}[0-9a-f]{4}$/i;
  if (!isMac.test(text)) return undefined;
  const hex = text.replace(/[:.-]/g, '').match(/../g) ?? [];
  const b = hex.map((part) => Number.parseInt(part, 16));
  const at = (i: number): number => b[i] as number;
  return { high: (at(0) << 24) | (at(1) << 16) | (at(2) << 8) | at(3), low: (at(4) << 8) | at(5) };
}

export function formatMac(mac: Mac): string {
  const hex =
    (mac.high >>> 0).toString(16).padStart(8, '0') + mac.low.toString(16).padStart(4, '0');
  return (hex.match(/../g) as string[]).join(':');
}
