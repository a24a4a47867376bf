/** Prefix tests on bare words, without allocation. */
import { maskOfWord, type Prefix } from '../../shared/address.ts';

export function prefixContainsWords(
  prefix: Prefix,
  w0: number,
  w1: number,
  w2: number,
  w3: number,
): boolean {
  const { words, bits } = prefix;
  return (
    (w3 & maskOfWord(bits, 3)) === words[3] &&
    (w2 & maskOfWord(bits, 2)) === words[2] &&
    (w1 & maskOfWord(bits, 1)) === words[1] &&
    (w0 & maskOfWord(bits, 0)) === words[0]
  );
}
