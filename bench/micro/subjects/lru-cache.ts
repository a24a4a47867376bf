/**
 * lru-cache against the engine's table for destination → peer. The cache gets the best conditions there are: it is large
 * enough for all peers, filled before, and asked for the subnet, of which it needs no longest match.
 */
import { LRUCache } from 'lru-cache';
import type { Case, Work } from '../case.ts';
import { hostsOf, LOOKUPS, makePeers, sumOf } from '../peers.ts';
import { type HitPattern, pickPeers } from '../random.ts';
import { openLookup } from './routes.ts';

const COUNTS = [1_000, 50_000] as const;
const HITS: readonly HitPattern[] = ['uniform', 'skewed'];

export function lruCacheCases(): Case[] {
  return ([4, 6] as const).flatMap((family) =>
    COUNTS.flatMap((peers) =>
      HITS.flatMap((hits) => {
        const what = `IPv${family}, ${peers} peers, ${hits}`;
        const open = () => openLookup(family, peers, hits);
        const openLru = () => openCache(family, peers, hits);
        return [
          { name: `lru-cache/table, ${what}`, opsPerCall: LOOKUPS, open },
          { name: `lru-cache/lru-cache, ${what}`, opsPerCall: LOOKUPS, open: openLru },
        ];
      }),
    ),
  );
}

function openCache(family: 4 | 6, peers: number, hits: HitPattern): Work {
  const picked = pickPeers(peers, LOOKUPS, hits);
  const hosts = hostsOf(picked, family);
  const expected = sumOf(picked);
  if (family === 4) {
    const cache = new LRUCache<number, number>({ max: peers });
    makePeers(peers, 4).forEach(({ subnet }, i) => {
      cache.set(subnet.words[3], i);
    });
    return { run: () => lookup4All(cache, hosts), expected };
  }
  const cache = new LRUCache<string, number>({ max: peers });
  makePeers(peers, 6).forEach(({ subnet }, i) => {
    cache.set(keyOf(subnet.words[0], subnet.words[1]), i);
  });
  return { run: () => lookup6All(cache, hosts), expected };
}

/** A Map compares objects by identity, so 64 bits of an address need a text as their key: one more for each packet. */
function keyOf(word0: number, word1: number): string {
  return `${word0},${word1}`;
}

function lookup4All(cache: LRUCache<number, number>, hosts: Int32Array): number {
  let sum = 0;
  for (let i = 0; i < hosts.length; i += 4) {
    sum = (sum + (cache.get((hosts[i + 3] as number) & 0xffffff00) ?? -1)) | 0;
  }
  return sum;
}

function lookup6All(cache: LRUCache<string, number>, hosts: Int32Array): number {
  let sum = 0;
  for (let i = 0; i < hosts.length; i += 4) {
    sum = (sum + (cache.get(keyOf(hosts[i] as number, hosts[i + 1] as number)) ?? -1)) | 0;
  }
  return sum;
}
