/** The Internet checksum (RFC 1071) of a few bytes; what is long is summed by the native layer. */

/** Sum of the 16-bit words in from..to, an even number of bytes and at most 64 KiB of them: {@link fold} it. */
export function sumWords(view: DataView, from: number, to: number): number {
  let sum = 0;
  for (let at = from; at < to; at += 2) sum += view.getUint16(at);
  return sum;
}

/** The one's complement sum in 16 bits, not complemented. */
export function fold(sum: number): number {
  const once = (sum & 0xffff) + (sum >>> 16);
  return (once & 0xffff) + (once >>> 16);
}
