/** What a peer is, and what makes one of a lease (which leases go together: peer-book.ts). */
import {
  formatPrefix,
  type Prefix,
  prefixContains,
  sameWords,
  type Words,
} from '../shared/address.ts';
import { printable } from '../shared/printable.ts';
import type { BackendConfig, Kind, PeerData } from './kinds/kind.ts';
import type { Lease } from './lease/lease.ts';
import type { NetworkConfig } from './network-config.ts';

type Config = NetworkConfig<BackendConfig>;

/** Where one subnet's packets go. A dual-stack node is two peers. */
export interface Peer extends PeerData {
  key: string;
  family: 4 | 6;
  subnet: Prefix;
  address: Words;
  /** its packets may leave as unsegmented super-packets (control/plane/tunnel-gso.ts); default no */
  tunnelGso?: boolean;
}

/** Kinds of reasons for which a lease is no peer, as they stand behind a number of leases. */
export type SkipKind =
  | 'without a public address'
  | 'outside the network'
  | 'with a public address inside the overlay'
  | 'of another backend type'
  | 'with data that the backend can not use'
  | "overlapping another node's subnet"
  | 'with an odd prefix length'
  | 'beyond the size of the table';

export interface Skipped {
  key: string;
  kind: SkipKind;
  /** foreign text in it is short and printable */
  why: string;
}

/** A subnet whose packets go elsewhere from now on: undefined before where it is new, after where it is gone. */
export interface PeerChange {
  /** see {@link peerId} */
  id: string;
  before: Peer | undefined;
  after: Peer | undefined;
}

/** A peer, or why the lease is none in this family. */
export type Candidate = Peer | Omit<Skipped, 'key'>;

/** What one lease alone says; undefined where it has nothing in this family. */
export function candidateOf(
  lease: Lease,
  family: 4 | 6,
  config: Config,
  kind: Kind,
): Candidate | undefined {
  const range = family === 4 ? config.ipv4 : config.ipv6;
  const subnet = family === 4 ? lease.subnet4 : lease.subnet6;
  if (!range || !subnet) return undefined;
  const address = family === 4 ? lease.attributes.publicIp4 : lease.attributes.publicIp6;
  if (!address) return { kind: 'without a public address', why: `no public IPv${family} address` };
  if (!prefixContains(range.network, subnet.words) || subnet.bits < range.network.bits) {
    const why = `subnet ${formatPrefix(subnet)} is outside ${formatPrefix(range.network)}`;
    return { kind: 'outside the network', why };
  }
  const { backendType } = lease.attributes;
  if (backendType !== kind.publishes) {
    const why = `backend type "${printable(backendType)}" is not ${kind.publishes || kind.type}`;
    return { kind: 'of another backend type', why };
  }
  const data = kind.peerData(config.backend, lease.attributes, family);
  if (typeof data === 'string')
    return { kind: 'with data that the backend can not use', why: data };
  return { key: lease.key, family, subnet, address, ...data };
}

/** Whether two peers are the same in everything that the table holds. */
export function samePeer(a: Peer, b: Peer): boolean {
  return (
    a.subnet.bits === b.subnet.bits &&
    sameWords(a.subnet.words, b.subnet.words) &&
    sameWords(a.address, b.address) &&
    a.port === b.port &&
    a.mac.high === b.mac.high &&
    a.mac.low === b.mac.low
  );
}

/** One lease may be a peer in each family. */
export function peerId({ family, key }: Pick<Peer, 'family' | 'key'>): string {
  return `${family} ${key}`;
}

/** A table's beginning. */
export function asNew(peers: readonly Peer[]): PeerChange[] {
  return peers.map((after) => ({ id: peerId(after), before: undefined, after }));
}
