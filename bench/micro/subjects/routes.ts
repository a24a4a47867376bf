/** Destination → peer, as outbound.ts asks for every packet. */
import type { RouteTable } from '../../../src/dataplane/routes/table.ts';
import type { Case, Work } from '../case.ts';
import { hostsOf, LOOKUPS, makePeers, makeTable, PEER_COUNTS, sumOf } from '../peers.ts';
import { type HitPattern, pickPeers } from '../random.ts';

export function routeCases(): Case[] {
  return ([4, 6] as const).flatMap((family) =>
    PEER_COUNTS.map((peers) => ({
      name: `routes/lookup${family}, ${peers} peers`,
      opsPerCall: LOOKUPS,
      open: () => openLookup(family, peers, 'uniform'),
    })),
  );
}

/** Look-ups in the engine's table. */
export function openLookup(family: 4 | 6, peers: number, hits: HitPattern): Work {
  const table = makeTable(makePeers(peers, family));
  const picked = pickPeers(peers, LOOKUPS, hits);
  const hosts = hostsOf(picked, family);
  const lookup = family === 4 ? lookup4All : lookup6All;
  return { run: () => lookup(table, hosts), expected: sumOf(picked) };
}

function lookup4All(table: RouteTable, hosts: Int32Array): number {
  let sum = 0;
  for (let i = 0; i < hosts.length; i += 4) {
    sum = (sum + table.lookup4(hosts[i + 3] as number)) | 0;
  }
  return sum;
}

function lookup6All(table: RouteTable, hosts: Int32Array): number {
  let sum = 0;
  for (let i = 0; i < hosts.length; i += 4) {
    const peer = table.lookup6(
      hosts[i] as number,
      hosts[i + 1] as number,
      hosts[i + 2] as number,
      hosts[i + 3] as number,
    );
    sum = (sum + peer) | 0;
  }
  return sum;
}
