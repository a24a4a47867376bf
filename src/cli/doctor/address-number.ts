/** Addresses as numbers, where ranges and masks are asked of them. */
import { parseAddress, type Words } from '../../shared/address.ts';

/** An address as one number, so that ranges and masks are arithmetic. */
export function numberOf(words: Words): bigint {
  return words.reduce((sum, word) => (sum << 32n) | BigInt(word >>> 0), 0n);
}

export function addressNumber(text: string): bigint | undefined {
  const words = parseAddress(text);
  return words && numberOf(words);
}

/** The first and the last address of "10.244.0.0/16", by the number of the address and the length in its own family. */
export function prefixRange(address: string, length: number): [bigint, bigint] | undefined {
  const base = addressNumber(address);
  if (base === undefined) return undefined;
  const hostBits = BigInt((address.includes(':') ? 128 : 32) - length);
  const first = (base >> hostBits) << hostBits;
  return [first, first | ((1n << hostBits) - 1n)];
}
