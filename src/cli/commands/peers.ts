/** weft peers: the nodes this one sends to. */
import type { Command } from 'commander';
import { z } from 'zod';
import { fetchPage } from '../client.ts';
import { renderTable } from '../render.ts';
import { addShow, type OnExit } from '../show.ts';

export const peersShape = z.looseObject({
  peers: z.array(
    z.looseObject({
      key: z.string(),
      family: z.union([z.literal(4), z.literal(6)]),
      subnet: z.string(),
      publicIp: z.string(),
      port: z.number(),
      mac: z.string().nullable(),
    }),
  ),
});
export type PeersPage = z.infer<typeof peersShape>;

export function addPeers(program: Command, onExit: OnExit): void {
  addShow(program, onExit, {
    name: 'peers',
    description: 'the nodes this one sends to',
    shape: peersShape,
    answer: ({ adminSocket }) => fetchPage(adminSocket, '/peers'),
    render: renderPeers,
  });
}

export function renderPeers({ peers }: PeersPage): string {
  if (peers.length === 0) return 'no peers: no other node holds a lease that this one can use';
  const rows = peers.map((peer) => [
    peer.subnet,
    peer.publicIp,
    String(peer.port),
    peer.mac ?? '-',
  ]);
  return renderTable(['SUBNET', 'NODE', 'PORT', 'VTEP MAC'], rows);
}
