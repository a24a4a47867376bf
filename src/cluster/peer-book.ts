/** Leases → peers, change by change: what one costs does not depend on how many leases there are. Pure: asks and changes nothing else. */
import { PEERS_MAX } from '../shared/limits.ts';
import { type Claim, Claims, claimOf, type Fault, type Seats } from './claims.ts';
import { KINDS, type Kinds, kindOf } from './kinds/all.ts';
import type { BackendConfig, Kind } from './kinds/kind.ts';
import { isOwnAddress } from './lease/acquire.ts';
import { sameSubnets } from './lease/allocate.ts';
import type { Lease } from './lease/lease.ts';
import type { NetworkConfig } from './network-config.ts';
import {
  candidateOf,
  type Peer,
  type PeerChange,
  peerId,
  type Skipped,
  samePeer,
} from './peers.ts';

type Config = NetworkConfig<BackendConfig>;

/** A lease by key as it is now; undefined: it is gone. */
export type LeaseChanges = Iterable<readonly [key: string, lease: Lease | undefined]>;

/** What a lease is in one family. */
interface Part {
  key: string;
  family: 4 | 6;
  claim: Claim | undefined;
  /** why the lease claims nothing */
  fault: Fault | undefined;
}

const FAMILIES = [4, 6] as const;

export class PeerBook {
  private readonly config: Config;
  private readonly kind: Kind;
  private readonly most: number;
  private own: Lease;
  private claims: Record<4 | 6, Claims>;
  private readonly leases = new Map<string, Lease>();
  private readonly parts = new Map<string, Part>();
  private readonly peers = new Map<string, Peer>();
  private readonly skips = new Map<string, Skipped>();
  private readonly namesakes = new Set<string>();
  private skippedList: readonly Skipped[] | undefined;
  /** of which something is to be said anew */
  private touched = new Set<string>();

  /** `own`: this node's lease. At most `most` peers; what is beyond them is skipped. */
  constructor(own: Lease, config: Config, kinds: Kinds = KINDS, most = PEERS_MAX) {
    this.own = own;
    this.config = config;
    this.kind = kindOf(config.backend, kinds);
    this.most = most;
    this.claims = this.noClaims();
  }

  /** Leases that are no peers. The same list as long as nothing in it changes. */
  get skipped(): readonly Skipped[] {
    this.skippedList ??= [...this.skips.values()];
    return this.skippedList;
  }

  /** Keys of other leases that have our own public address. */
  get twins(): readonly string[] {
    return [...this.namesakes];
  }

  /** What the changes of leases change among the peers, in no order. */
  update(changes: LeaseChanges): PeerChange[] {
    for (const [key, lease] of changes) {
      if (this.leases.get(key) === lease) continue;
      this.forget(key);
      if (lease) this.learn(lease);
    }
    return this.settle();
  }

  /** The same for a whole list; what is not in it is gone. */
  replace(leases: readonly Lease[]): PeerChange[] {
    const present = new Set(leases.map(({ key }) => key));
    const gone = [...this.leases.keys()].filter((key) => !present.has(key));
    return this.update([
      ...gone.map((key) => [key, undefined] as const),
      ...leases.map((lease) => [lease.key, lease] as const),
    ]);
  }

  /** This node's lease is this one now: where that matters, the next update judges all others anew. */
  setOwn(own: Lease): void {
    const before = this.own;
    this.own = own;
    const isSame =
      before.key === own.key &&
      sameSubnets(before, own) &&
      isOwnAddress(before.attributes, own.attributes) &&
      isOwnAddress(own.attributes, before.attributes);
    if (isSame) return;
    const leases = [...this.leases.values()];
    for (const { key } of leases) this.forget(key);
    this.claims = this.noClaims();
    for (const lease of leases) this.learn(lease);
  }

  private noClaims(): Record<4 | 6, Claims> {
    const { own, config } = this;
    const seats: Seats = { taken: 0, most: this.most };
    return {
      4: new Claims(own.subnet4, config.ipv4?.subnetMin.bits ?? 0, seats),
      6: new Claims(own.subnet6, config.ipv6?.subnetMin.bits ?? 0, seats),
    };
  }

  private forget(key: string): void {
    this.leases.delete(key);
    this.namesakes.delete(key);
    for (const family of FAMILIES) {
      const id = peerId({ family, key });
      const part = this.parts.get(id);
      if (!part) continue;
      this.parts.delete(id);
      if (part.claim) this.claims[family].remove(part.claim);
      this.touched.add(id);
    }
  }

  private learn(lease: Lease): void {
    const { key } = lease;
    this.leases.set(key, lease);
    if (key === this.own.key) return;
    if (isOwnAddress(this.own.attributes, lease.attributes)) {
      this.namesakes.add(key);
      return;
    }
    for (const family of FAMILIES) {
      const candidate = candidateOf(lease, family, this.config, this.kind);
      if (!candidate) continue;
      const id = peerId({ family, key });
      const claim = 'why' in candidate ? undefined : claimOf(candidate);
      const fault = 'why' in candidate ? candidate : undefined;
      this.parts.set(id, { key, family, claim, fault });
      if (claim) this.claims[family].add(claim);
      this.touched.add(id);
    }
  }

  private settle(): PeerChange[] {
    for (const family of FAMILIES)
      for (const { peer } of this.claims[family].settle()) this.touched.add(peerId(peer));
    const changes: PeerChange[] = [];
    for (const id of this.touched) {
      const change = this.conclude(id);
      if (change) changes.push(change);
    }
    this.touched = new Set();
    return changes;
  }

  /** What is to be said of one lease in one family after all. */
  private conclude(id: string): PeerChange | undefined {
    const { key = '', claim, fault } = this.parts.get(id) ?? {};
    const found = fault ?? claim?.clash ?? claim?.loop;
    this.skip(id, found && { key, ...found });
    const before = this.peers.get(id);
    const after = found ? undefined : claim?.peer;
    if (before === after) return undefined;
    if (before && after && samePeer(before, after) && before.data === after.data) return undefined;
    if (after) this.peers.set(id, after);
    else this.peers.delete(id);
    return { id, before, after };
  }

  private skip(id: string, skipped: Skipped | undefined): void {
    const before = this.skips.get(id);
    if (before?.kind === skipped?.kind && before?.why === skipped?.why) return;
    if (skipped) this.skips.set(id, skipped);
    else this.skips.delete(id);
    this.skippedList = undefined;
  }
}
