/** Peers, tables and packets' destinations as the subjects need them. */
import type { Peer } from '../../src/cluster/peers.ts';
import { fillHalf } from '../../src/control/plane/shared-table.ts';
import { RouteTable } from '../../src/dataplane/routes/table.ts';
import { halfAt, TABLE_BYTES } from '../../src/memory/table.ts';
import { MAPPED_WORD, type Words } from '../../src/shared/address.ts';

export const PEER_COUNTS = [10, 1_000, 50_000] as const;
/** Look-ups in one call: enough destinations that 50,000 peers are really spread over the caches. */
export const LOOKUPS = 65_536;

const NETWORK4 = 10 << 24;
const NETWORK6 = 0xfd000244 | 0;
const UNDERLAY4 = (172 << 24) | (16 << 16);
const UNDERLAY6 = 0x20010db8;
const PORT = 8472;

/** Nodes as flannel numbers them: peer i has 10.x.y.0/24 or fd00:244:0:i::/64. */
export function makePeers(count: number, family: 4 | 6): Peer[] {
  return Array.from({ length: count }, (_, i) => ({
    key: `peer ${i}`,
    family,
    subnet: { words: hostOf(i, family, 0), bits: family === 4 ? 120 : 64 },
    address: family === 4 ? [0, 0, MAPPED_WORD, UNDERLAY4 + i] : [UNDERLAY6, 0, 0, i + 1],
    port: PORT,
    mac: { high: 0x02000000 + i, low: i & 0xffff },
  }));
}

/** A table with these peers; peer i has index i. */
export function makeTable(peers: readonly Peer[]): RouteTable {
  return new RouteTable(makeTableMemory(peers));
}

export function makeTableMemory(peers: readonly Peer[]): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(TABLE_BYTES);
  fillHalf(new Int32Array(memory), halfAt(0), peers);
  return memory;
}

/** A pod of peer `index`; host 0 is the subnet itself. */
export function hostOf(index: number, family: 4 | 6, host: number): Words {
  return family === 4
    ? [0, 0, MAPPED_WORD, NETWORK4 | (index << 8) | host]
    : [NETWORK6, index, 0, host];
}

/** One pod address for each picked peer, its four words behind each other. */
export function hostsOf(picked: Int32Array, family: 4 | 6): Int32Array {
  const words = new Int32Array(picked.length * 4);
  picked.forEach((peer, i) => {
    words.set(hostOf(peer, family, 1 + (i % 250)), i * 4);
  });
  return words;
}

/** The sum that a loop over these results must come to, in 32 bits as the loops add. */
export function sumOf(results: Iterable<number>): number {
  let sum = 0;
  for (const result of results) sum = (sum + result) | 0;
  return sum;
}
