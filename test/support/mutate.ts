/** Spoils packets so that they stay interesting: most of a packet is right, and lengths lie. */

import type { Random } from '../../lab/random.ts';
import type { Offload } from './far-end.ts';
import { pattern } from './packets.ts';

const LENGTHS = [0, 1, 8, 19, 20, 21, 39, 40, 41, 59, 60, 1399, 1450, 1451, 65535];
/** Known gso types, one with ECN, and one that does not exist. */
const TYPES = [0, 0, 1, 4, 5, 0x81, 3];

/** Flips, cuts, grows, overwrites length fields, or replaces everything. */
export function mutate(random: Random, frame: Uint8Array): Uint8Array {
  const kind = random.below(8);
  if (kind === 0) return pattern(1 + random.below(1600), random.below(1 << 30));
  let bytes = frame.slice();
  if (kind === 1) bytes = bytes.slice(0, 1 + random.below(bytes.length));
  if (kind === 2)
    bytes = Uint8Array.from([...bytes, ...pattern(random.below(60), random.below(1 << 30))]);
  const flips = kind === 3 ? 0 : random.below(4);
  for (let i = 0; i < flips; i++) bytes[random.below(bytes.length)] = random.below(256);
  if (kind >= 5 && bytes.length > 60) {
    const at = random.below(60);
    const length = random.pick(LENGTHS);
    bytes[at] = length >> 8;
    bytes[at + 1] = length & 255;
  }
  return bytes;
}

/** Any type, size and checksum position; `sizeMin` bounds how many segments a packet is cut into. */
export function lyingOffload(random: Random, sizeMin = 0): Offload {
  const type = random.below(8) === 0 ? random.below(256) : random.pick(TYPES);
  return {
    gso: type | (random.below(4) << 8),
    gsoSize: random.below(3) === 0 ? sizeMin + random.below(65_536 - sizeMin) : 1400,
    csumStart: random.below(80),
    csumOffset: random.below(3) * 6 + 4,
  };
}
