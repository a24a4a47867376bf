/** Numbers that look random and are the same in every run. */

/** A generator of fractions from 0 up to 1 (xorshift). */
export function randomFractions(seed = 1): () => number {
  let state = seed | 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

export type HitPattern = 'uniform' | 'skewed';

/** Spreads neighbours over the peers; prime, and no count of peers here is a multiple of it. */
const STRIDE = 7919;

/**
 * Which peer each of `count` packets goes to. Uniform: all equally often. Skewed: the n-th busiest peer gets about 1/n of
 * what the busiest gets, so with 50,000 peers a tenth of them gets four fifths of the packets.
 */
export function pickPeers(peers: number, count: number, hits: HitPattern): Int32Array {
  const next = randomFractions(peers);
  return Int32Array.from({ length: count }, () => {
    if (hits === 'uniform') return Math.floor(next() * peers);
    const rank = Math.floor(peers ** next()) - 1;
    return (rank * STRIDE) % peers;
  });
}
