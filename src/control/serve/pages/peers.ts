/** /peers: the nodes this one sends to. */
import type { PeerEntry, PeersPage } from '../../../api/peers.ts';
import type { Peer } from '../../../cluster/peers.ts';
import { nodeNameOf } from '../../../cluster/registry.ts';
import { formatAddress, formatMac, formatPrefix } from '../../../shared/address.ts';
import type { Node } from '../../node.ts';
import type { PeerTotals } from '../../observe/peer-ledger.ts';

/** Of a backend that leaves the packets to the kernel. */
const UNSEEN: PeerTotals = {
  sentPackets: 0,
  sentBytes: 0,
  receivedPackets: 0,
  receivedBytes: 0,
  lastHeardAt: undefined,
};

export function peersPage(node: Node): PeersPage {
  const ledger = node.backend?.observation?.ledger;
  return {
    peers: node.peers.map((peer) => peerJson(peer, ledger?.totalsOf(peer) ?? UNSEEN, node)),
    skipped: node.skipped.map(({ key, why }) => {
      return { key, nodeName: nodeNameOf(node.registry, key), why };
    }),
  };
}

function peerJson(
  peer: Peer,
  { lastHeardAt, ...totals }: PeerTotals,
  { reach, registry }: Node,
): PeerEntry {
  return {
    key: peer.key,
    nodeName: nodeNameOf(registry, peer.key),
    family: peer.family,
    subnet: formatPrefix(peer.subnet),
    publicIp: formatAddress(peer.address),
    port: peer.port,
    mac: peer.mac.high === 0 && peer.mac.low === 0 ? null : formatMac(peer.mac),
    ...totals,
    lastHeardAt: lastHeardAt?.toISOString() ?? null,
    reach: reach?.row.standingOf(peer).state ?? 'unknown',
    rttMs: reach?.row.cellOf(peer).rttMs ?? null,
    lossRatio: reach?.row.cellOf(peer).lossRatio ?? null,
  };
}
