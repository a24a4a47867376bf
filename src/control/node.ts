/**
 * What a node knows of itself. Observers (pages, metrics, health, self-watch, log fields, the report to the service manager) take this
 * and nothing more: they read, at any moment from the first step of the start to the end, and change nothing.
 */
import type { NetworkConfig } from '../cluster/network-config.ts';
import type { Peer, Skipped } from '../cluster/peers.ts';
import type { HeldLease, Registry } from '../cluster/registry.ts';
import type { ExternalInterface } from '../host/external-interface.ts';
import type { Flavour } from '../host/firewall/wishes.ts';
import type { EffectiveOption } from '../options/effective.ts';
import type { Settings } from '../options/settings.ts';
import type { BackendFacts } from './backend/backend.ts';
import type { Hardening } from './hardening.ts';
import type { Reach } from './reach/reach.ts';

/** How the watch of the registry goes. */
export interface StoreState {
  ok: boolean;
  /** why not, '' when ok */
  message: string;
  /** of {@link ok} */
  since: Date;
  /** the newest list of leases; undefined: none yet */
  lastEventAt: Date | undefined;
}

/** What is not as it should be; '' where all is well. */
export interface Problems {
  /** why the newest list of nodes is not in force */
  table: string;
  /** what `ip` refused of our routes */
  routes: string;
  /** why the host could not be put right */
  host: string;
  /** another interface would be the underlay now */
  underlay: string;
  /** which peers' packets somebody else's routes take */
  shadowed: string;
  /** why the firewall rules are not in place; undefined before they are wanted */
  firewall: string | undefined;
  /** which of other nodes' addresses this host has */
  addressTaken: string;
  /** which addresses others gave to our devices */
  addressForeign: string;
  /** the pods' bridge is that of another subnet */
  bridge: string;
  /** settings by which the kernel does not forward */
  forwarding: string;
}

export interface Node {
  readonly settings: Settings;
  /** flags, environment and defaults, with their origin */
  readonly options: readonly EffectiveOption[];
  readonly startedAt: Date;
  /** what is being done until the node is ready, '' then */
  readonly phase: string;
  /** what went wrong with that at the last try, '' if nothing */
  readonly waitsFor: string;
  readonly registry: Pick<
    Registry,
    'name' | 'configPlace' | 'rememberedAtMs' | 'keysAreNodeNames' | 'ownObject'
  >;
  readonly store: StoreState;
  /** lists that the registry's watch delivered, and how often it failed */
  readonly storeCounts: Readonly<Record<'lists' | 'failures', number>>;
  readonly config: NetworkConfig | undefined;
  readonly external: ExternalInterface | undefined;
  readonly lease: HeldLease | undefined;
  readonly backend: BackendFacts | undefined;
  /** as long as the node is up, with a backend that has devices */
  readonly reach: Reach | undefined;
  /** who the node sends to, {@link held} included */
  readonly peers: readonly Peer[];
  /** their number, without a list of them */
  readonly peerCount: number;
  /** how many of them are kept although their leases disappeared */
  readonly held: number;
  /** leases that did not become peers, and why */
  readonly skipped: readonly Skipped[];
  /** how many keys have no lease in them that can be read */
  readonly unreadable: number;
  /** keys of other leases that have our own public address */
  readonly twins: readonly string[];
  /** how far the clock by which leases end is ahead of ours; undefined: not known */
  readonly clockAheadMs: number | undefined;
  readonly problems: Problems;
  /** which tool writes the firewall rules; undefined until one was found */
  readonly firewallKind: Flavour | undefined;
  /** undefined before it is done, early in the start */
  readonly hardening: Hardening | undefined;
  /** Why this node is not ready, '' when it is. That the store is unavailable is not a reason. */
  whyNotReady(): string;
  /** Why this process can't be trusted to go on, '' when it can. */
  whyNotAlive(): string;
}
