/**
 * Where the cluster's leases live, one level above any store: how a node gets its lease and learns of the others'. etcd and a directory
 * are key-value stores behind one implementation (store/keyed-registry.ts); a registry that allocates nothing and in which nothing
 * expires, such as Kubernetes' Node objects, is another one. (flannel cuts at the same place: pkg/subnet/subnet.go, Manager.)
 *
 * Calls throw a WeftError: ERR_STORE_UNAVAILABLE when the registry does not answer, ERR_STORE_REFUSED when it refuses us, ERR_CONFIG
 * when something in it must be repaired first. Who calls tries again after any of these three ({@link passes}); every other error is
 * final.
 */

import type { Words } from '../shared/address.ts';
import { EXIT, WeftError } from '../shared/errors.ts';
import type { Lease, LeaseAttributes, LeaseSubnets } from './lease/lease.ts';
import type { NetworkConfig } from './network-config.ts';

/** How far another clock is ahead of ours, never less than 0 where only that is known, and what says so. */
export interface ClockReading {
  aheadMs: number;
  by: string;
}

/** Everything that the registry holds now. A lease that did not change is the same object in every list of a watch. */
export interface LeaseList {
  /** where a list is one of a watch, perhaps only made when somebody asks, and then of that moment */
  readonly leases: readonly Lease[];
  /**
   * What differs from the watch's list before this one, by key; undefined is a lease that is gone. Absent: anything may differ. Who takes
   * only this does work that does not grow with the number of leases.
   */
  changes?: ReadonlyMap<string, Lease | undefined>;
  /** keys of what is not a lease; untrusted text. The same array as long as nothing in it changes */
  unreadable: readonly string[];
  /** after {@link Registry.join}: our own lease is there as we wrote it. Before: false */
  ownIsThere: boolean;
}

/**
 * held: the registry has our lease as we wrote it · lost: it is gone and is being put back · taken: another node's value is in it, or
 * another node leased the same addresses. Traffic of a taken subnet goes astray whatever we do; people must look. remembered: the
 * registry has not answered since the start; our lease is as it was before (remember/).
 */
export type LeaseState = 'held' | 'lost' | 'taken' | 'remembered';

/** This node's own lease. The registry keeps it (renews it, puts it back) until {@link stop}; it stays in the registry after that. */
export interface HeldLease {
  /** as it is now: revision and expiry move */
  readonly lease: Lease;
  readonly state: LeaseState;
  /** writes of it since the start */
  readonly renewals: Readonly<Record<'ok' | 'failed', number>>;
  /** Other attributes under the same lease, because the underlay's address changed. Tried again in the background until it succeeds. */
  publish(attributes: LeaseAttributes): Promise<void>;
  stop(): void;
}

/** When a node may start with what it remembers of a registry that does not answer (remember/): the registry's own rules. */
export interface MemoryPolicy {
  /** What must be the same for a memory to be of use: place, and this node's name where nodes have names. No secrets. */
  readonly of: string;
  /** Until when our lease may be used unconfirmed, ms since the epoch by our clock; undefined: as long as it takes. */
  until(own: Lease): number | undefined;
  /** Whether a node with these attributes is the one that had this lease. */
  isOurs(own: Lease, attributes: LeaseAttributes): boolean;
}

export interface JoinWish {
  config: NetworkConfig;
  attributes: LeaseAttributes;
  /** subnets of the run before: had again where they are free */
  previous: LeaseSubnets | undefined;
}

/** What a registry knows of this node before it joins. */
export interface OwnBefore {
  /** of its lease, if it has one */
  key: string;
  /** what it published in the run before */
  published: LeaseAttributes | undefined;
  /** addresses that people chose for it, in the place of --public-ip and --public-ipv6 */
  publicIp4: Words | undefined;
  publicIp6: Words | undefined;
}

/** This node's own object in a cluster that has one for each node, as far as it is known; its texts are untrusted. */
export interface OwnObject {
  /** where the objects are */
  server: string;
  /** of the node; undefined: not known yet */
  name: string | undefined;
  podCidrs: readonly string[];
  /** what peers must know stands on it, as this node wrote it */
  isAnnotated: boolean;
  /** what is wrong with it; '' while nothing is known to be */
  problem: string;
  /** calls that the server forbids us: method, or "watch", and path */
  forbidden: readonly string[];
  /** The object as it is now, as plain data without anything secret. Throws as the registry's calls do. */
  read(): Promise<Readonly<Record<string, unknown>>>;
}

/** Something that people who look at the cluster must know of this node. */
export interface Notice {
  /** what kind of thing, as one word: MtuMismatch; stable, because tools match on it */
  reason: string;
  isWarning: boolean;
  /** what is the matter, and what to do */
  text: string;
}

export interface Registry {
  /** Where it is, for logs and pages (no secrets); the first word is its kind. */
  readonly name: string;
  /** Where the network config belongs, for messages. */
  readonly configPlace: string;
  /** Absent where nodes are no objects. */
  readonly ownObject?: OwnObject | undefined;
  /** The keys of its leases are the names of the nodes. Absent: its nodes have no names. */
  readonly keysAreNodeNames?: true | undefined;
  /** Absent: a node never starts without this registry's answer. */
  readonly memory?: MemoryPolicy;
  /** Set while all that it says is only remembered: when the registry itself said it last, ms since the epoch. */
  readonly rememberedAtMs?: number | undefined;
  /** Text of the network config; undefined when there is none yet. */
  readConfig(): Promise<string | undefined>;
  list(): Promise<LeaseList>;
  /** Absent where a node has no name by which it would be known. */
  ownBefore?(): Promise<OwnBefore | undefined>;
  /** Acquires and holds this node's lease; once. Throws ERR_OUT_OF_SUBNETS or ERR_LEASE_RACE besides. */
  join(wish: JoinWish): Promise<HeldLease>;
  /**
   * Calls back after changes with a list, and with the error while the registry does not answer (then again with a list). The first one,
   * and the first after an error, is without `changes`. Ends when `signal` aborts. After a WeftError that does not pass nothing follows:
   * start again.
   */
  watch(
    onList: (list: LeaseList) => void,
    onError: (error: Error) => void,
    signal: AbortSignal,
  ): void;
  /** The clock by which leases end, for the doctor; a text where it can't be read. Absent where nothing ends. */
  readClock?(): Promise<ClockReading | string>;
  /** The last step of a start: pods may be scheduled here. Absent where nobody waits for it. */
  nodeReady?(): Promise<void>;
  /** Shows it where the cluster's people look, sooner or later: nobody waits for it, it fails nothing, and what is too much is left out. */
  tell?(notice: Notice): void;
  close(): Promise<void>;
}

/** What people call the node that has a lease; null where nodes have no names. */
export function nodeNameOf(
  { keysAreNodeNames }: Pick<Registry, 'keysAreNodeNames'>,
  key: string,
): string | null {
  return keysAreNodeNames ? key : null;
}

/** What a running node can't follow: it ends, with an exit code that asks for another start. */
export function startAgain(why: string): WeftError {
  return new WeftError('ERR_START_AGAIN', EXIT.again, `${why}; starting again`);
}

/** Whether the same call may succeed later. */
export function passes(error: unknown): boolean {
  return error instanceof WeftError && PASSING.includes(error.code);
}
const PASSING: readonly string[] = ['ERR_STORE_UNAVAILABLE', 'ERR_STORE_REFUSED', 'ERR_CONFIG'];
