/** /peers: the nodes this one sends to. */
import { formatAddress, formatMac, formatPrefix } from '../../shared/address.ts';
import type { Daemon } from '../daemon.ts';
import type { Peer } from '../peers.ts';

export function peersPage(daemon: Daemon): object {
  return { peers: daemon.peers.map((peer) => peerJson(peer, daemon)) };
}

function peerJson(peer: Peer, { reach }: Daemon): object {
  return {
    key: peer.key,
    family: peer.family,
    subnet: formatPrefix(peer.subnet),
    publicIp: formatAddress(peer.address),
    port: peer.port,
    mac: peer.mac.high === 0 && peer.mac.low === 0 ? null : formatMac(peer.mac),
    rttMs: reach?.row.cellOf(peer).rttMs ?? null,
    lossRatio: reach?.row.cellOf(peer).lossRatio ?? null,
  };
}
