/** Leases → peers: a pure function. */
import {
  formatPrefix,
  type Prefix,
  prefixContains,
  sameWords,
  type Words,
} from '../shared/address.ts';
import { getOrMake } from '../shared/memo.ts';
import { printable } from '../shared/printable.ts';
import { KINDS, type Kinds, kindOf } from './kinds/all.ts';
import type { BackendConfig, Kind, PeerData } from './kinds/kind.ts';
import { isOwnAddress } from './lease/acquire.ts';
import type { Lease } from './lease/lease.ts';
import { SubnetSet } from './lease/subnet-set.ts';
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
  | "overlapping another node's subnet";

export interface Skipped {
  key: string;
  kind: SkipKind;
  /** foreign text in it is short and printable */
  why: string;
}

export interface PeerList {
  peers: Peer[];
  skipped: Skipped[];
  /** keys of other leases that have our own public address */
  twins: string[];
}

/** The pure part of a lease's peers, kept as long as lease and config live: thousands of leases stay as they are when one changes. */
const candidates = new WeakMap<Config, WeakMap<Lease, Candidate[]>>();
/** A peer, or a reason to skip the lease in this family. */
type Candidate = Peer | Omit<Skipped, 'key'>;

export function leasesToPeers(
  leases: readonly Lease[],
  own: Lease,
  config: Config,
  kinds: Kinds = KINDS,
): PeerList {
  const peers: Peer[] = [];
  const skipped: Skipped[] = [];
  const twins: string[] = [];
  const taken = { 4: new SubnetSet(), 6: new SubnetSet() };
  if (own.subnet4) taken[4].add(own.subnet4, "this node's own subnet");
  if (own.subnet6) taken[6].add(own.subnet6, "this node's own subnet");
  const kind = kindOf(config.backend, kinds);
  const known = getOrMake(candidates, config, () => new WeakMap());
  for (const lease of leases) {
    if (lease.key === own.key) continue;
    if (isOwnAddress(own.attributes, lease.attributes)) {
      twins.push(lease.key);
      continue;
    }
    const found = getOrMake(known, lease, () => candidatesOf(lease, config, kind));
    for (const candidate of found) {
      const fault = 'why' in candidate ? candidate : clashOf(candidate, taken);
      if (fault) skipped.push({ key: lease.key, ...fault });
      else if ('family' in candidate) {
        peers.push(candidate);
        taken[candidate.family].add(candidate.subnet, candidate.key);
      }
    }
  }
  return { peers: withoutLoops(peers, taken, skipped), skipped, twins };
}

/**
 * What is sent to an address of pods would be wrapped again and again. Only leased subnets are pods': Network may be as wide as the
 * site and hold the nodes, too.
 */
function withoutLoops(peers: Peer[], leased: Record<4 | 6, SubnetSet>, skipped: Skipped[]): Peer[] {
  return peers.filter(({ key, family, address }) => {
    const holder = leased[family].holding({ words: address, bits: 128 });
    if (holder !== undefined)
      skipped.push({
        key,
        kind: 'with a public address inside the overlay',
        why: `public address lies inside the overlay, in the subnet of ${holder}`,
      });
    return holder === undefined;
  });
}

function clashOf(
  { subnet, family }: Peer,
  taken: Record<4 | 6, SubnetSet>,
): Omit<Skipped, 'key'> | undefined {
  const clash = taken[family].overlapping(subnet);
  if (clash === undefined) return undefined;
  return { kind: "overlapping another node's subnet", why: `overlaps ${clash}` };
}

/** One per family in which the lease has something. */
function candidatesOf(lease: Lease, config: Config, kind: Kind): Candidate[] {
  return ([4, 6] as const).flatMap((family) => candidateOf(lease, family, config, kind) ?? []);
}

function candidateOf(
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
