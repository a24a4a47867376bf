/** Writing one half of the route table: what the control thread does when leases change. */
import { fillHalf } from '../../../src/control/plane/shared-table.ts';
import { HALF, halfAt, TABLE_BYTES } from '../../../src/memory/table.ts';
import type { Case, Work } from '../case.ts';
import { makePeers, PEER_COUNTS } from '../peers.ts';

export function publicationCases(): Case[] {
  return PEER_COUNTS.map((peers) => ({
    name: `publication/${peers} peers`,
    opsPerCall: 1,
    open: () => openPublication(peers),
  }));
}

function openPublication(count: number): Work {
  const words = new Int32Array(new SharedArrayBuffer(TABLE_BYTES));
  const peers = makePeers(count, 4);
  let generation = 0;
  const run = (): number => {
    generation ^= 1;
    const half = halfAt(generation);
    words[half + HALF.peerCount] = 0;
    fillHalf(words, half, peers);
    return words[half + HALF.peerCount] as number;
  };
  return { run, expected: count };
}
