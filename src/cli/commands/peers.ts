/** weft peers: the nodes this one sends to. */
import { renderTable } from '../render.ts';

interface PeerJson {
  subnet: string;
  publicIp: string;
  port: number;
  mac: string | null;
}

export function renderPeers(page: Record<string, unknown>): string {
  const peers = page['peers'] as PeerJson[];
  if (peers.length === 0) return 'no peers: no other node holds a lease that this one can use';
  const rows = peers.map((peer) => [
    peer.subnet,
    peer.publicIp,
    String(peer.port),
    peer.mac ?? '-',
  ]);
  return renderTable(['SUBNET', 'NODE', 'PORT', 'VTEP MAC'], rows);
}
