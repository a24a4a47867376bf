/** Address arithmetic in the 128-bit space, for handing out subnets. */
import type { Prefix, Words } from '../../shared/address.ts';
import { prefixContains } from '../../shared/address.ts';

function toBig(words: Words): bigint {
  return words.reduce((value, word) => (value << 32n) | BigInt(word >>> 0), 0n);
}

function fromBig(value: bigint): Words {
  const word = (shift: bigint): number => Number(BigInt.asIntN(32, value >> shift));
  return [word(96n), word(64n), word(32n), word(0n)];
}

/** The address `steps` subnets of this prefix length further on. */
export function addToAddress(words: Words, bits: number, steps: number): Words {
  return fromBig(BigInt.asUintN(128, toBig(words) + (BigInt(steps) << BigInt(128 - bits))));
}

/** -1, 0 or 1, by numeric value. */
export function compareAddresses(a: Words, b: Words): number {
  const difference = toBig(a) - toBig(b);
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

export function overlaps(a: Prefix, b: Prefix): boolean {
  return prefixContains(a, b.words) || prefixContains(b, a.words);
}
