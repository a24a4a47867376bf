/** What carries pod packets to the other nodes: one implementation per Backend.Type of the network config. */

import type { BackendConfig } from '../../cluster/kinds/kind.ts';
import type { Lease, LeaseAttributes, LeaseSubnets } from '../../cluster/lease/lease.ts';
import type { NetworkConfig } from '../../cluster/network-config.ts';
import type { Peer, PeerChange } from '../../cluster/peers.ts';
import type { ExternalInterface } from '../../host/external-interface.ts';
import type { AddressedLink } from '../../host/ip-json.ts';
import type { News } from '../../host/kernel-news.ts';
import type { RouteKeeper } from '../../host/routes.ts';
import type { Addon } from '../../memory/addon.ts';
import type { Totals } from '../../memory/counters.ts';
import type { Settings } from '../../options/settings.ts';
import type { Words } from '../../shared/address.ts';
import type { Log } from '../log/log.ts';
import type { FdStore } from '../manager/fd-store.ts';
import type { Observation } from '../observe/observation.ts';
import type { TableStatus } from '../plane/plane.ts';
import type { ShortcutSummary } from '../plane/shortcut.ts';
import type { WorkerFault, WorkerStatus } from '../plane/supervisor.ts';

/** What every backend works with. `external` changes with {@link Backend.move}. */
export interface BackendContext<C extends BackendConfig = BackendConfig> {
  addon: Addon;
  log: Log;
  /** descriptors of the process before, and for the one after */
  fds: FdStore;
  settings: Settings;
  config: NetworkConfig<C>;
  routes: RouteKeeper;
  external: ExternalInterface;
  /** all leases at start, but for our own where the registry knows it by name */
  leases: readonly Lease[];
  /** what this node published in the run before, where the registry says so */
  published?: LeaseAttributes | undefined;
}

/** What those who look at a backend may know. */
export interface BackendFacts {
  /** MTU for pods, bytes. */
  podMtu(): number;
  isForwarding(): boolean;
  status(): BackendStatus;
  /** Totals of each worker. Absent where the kernel carries the packets, as is {@link BackendFacts.observation}. */
  workerTotals?(): Totals[];
  readonly observation?: Observation;
}

/** The daemon calls open, attributes, start, then the others in any order and close at last; one call at a time. */
export interface Backend extends BackendFacts {
  /** Checks and takes what the host must give, before there is a lease. Throws WeftError. */
  open(): Promise<void>;
  /** What the lease publishes. */
  attributes(): Promise<LeaseAttributes>;
  /** From here on packets are forwarded. */
  start(subnets: LeaseSubnets, peers: readonly Peer[]): Promise<void>;
  /** Peers come, change or go, after {@link start}. Each change is told once: what can't be carried out now is caught up on by {@link heal}. */
  apply(changes: readonly PeerChange[]): Promise<void>;
  /** Puts back what is missing of its devices and says which routes it wants; who calls it syncs them. Returns what it did, '' if nothing. */
  heal(): Promise<string>;
  /** These are the host's addresses: no packet brings one of them as its source. Absent where the kernel carries the packets. */
  learnAddresses?(links: readonly AddressedLink[]): void;
  /** What the kernel announces. Absent where nothing depends on it. */
  hear?(news: readonly News[]): void;
  /** From here on {@link hear} is told all of it. */
  listen?(): void;
  /** The underlay's address or MTU changed. */
  move(external: ExternalInterface): Promise<void>;
  /** A fault for tests: the worker throws, or hangs; throws where there is no such worker. */
  failWorker(index: number, fault: WorkerFault): void;
  close(): Promise<void>;
}

export interface BackendStatus {
  /** mac: the VTEP's, null where the wire carries none */
  devices: { device: string; family: 4 | 6; mtu: number; mac: string | null }[];
  offloads: string[];
  shortcuts: readonly ShortcutSummary[];
  workers: WorkerStatus[];
  /** the route table in force; null where there is none */
  table: TableStatus | null;
  totals: Totals;
  /** of these, what shortcuts carried past the workers */
  pastWorkers: Totals;
}

/** The enabled families. */
export function familiesOf(config: NetworkConfig<BackendConfig>): (4 | 6)[] {
  return [...(config.ipv4 ? [4 as const] : []), ...(config.ipv6 ? [6 as const] : [])];
}

/** This node's address in the underlay. */
export function underlayAddress(external: ExternalInterface, family: 4 | 6): Words {
  return (family === 4 ? external.address4 : external.address6) as Words;
}

/** Attributes with the public addresses and the type, as most backends publish them. */
export function publicAttributes(
  external: ExternalInterface,
  backendType: string,
): LeaseAttributes {
  const attributes: LeaseAttributes = { backendType };
  if (external.public4) attributes.publicIp4 = external.public4;
  if (external.public6) attributes.publicIp6 = external.public6;
  return attributes;
}
