/** Leases → peers all at once, for tests that look at one moment. */
import type { Kinds } from '../../src/cluster/kinds/all.ts';
import type { BackendConfig } from '../../src/cluster/kinds/kind.ts';
import type { Lease } from '../../src/cluster/lease/lease.ts';
import type { NetworkConfig } from '../../src/cluster/network-config.ts';
import { PeerBook } from '../../src/cluster/peer-book.ts';
import { type Peer, type PeerChange, peerId, type Skipped } from '../../src/cluster/peers.ts';
import type { PeerLedger } from '../../src/control/observe/peer-ledger.ts';

export interface PeerList {
  peers: Peer[];
  skipped: readonly Skipped[];
  twins: readonly string[];
}

export function peersOf(
  leases: readonly Lease[],
  own: Lease,
  config: NetworkConfig<BackendConfig>,
  kinds?: Kinds,
): PeerList {
  const book = new PeerBook(own, config, kinds);
  const peers = book.replace(leases).flatMap(({ after }) => after ?? []);
  return { peers, skipped: book.skipped, twins: book.twins };
}

/** A ledger's slots of tables that follow each other. */
export function slotsIn(ledger: PeerLedger): (peers: readonly Peer[]) => number[] {
  let table: readonly Peer[] = [];
  return (peers) => {
    ledger.assign(changesBetween(table, peers));
    table = peers;
    return peers.map((peer) => ledger.slotOf(peer) as number);
  };
}

/** What makes one table of another. */
export function changesBetween(before: readonly Peer[], after: readonly Peer[]): PeerChange[] {
  const [old, now] = [before, after].map(
    (peers) => new Map(peers.map((peer) => [peerId(peer), peer])),
  );
  return [...new Set([...(old?.keys() ?? []), ...(now?.keys() ?? [])])].map((id) => ({
    id,
    before: old?.get(id),
    after: now?.get(id),
  }));
}
