/**
 * What is known of one Backend.Type of the network config. Each kind has a file of its own, and all.ts lists them; nobody outside this
 * folder compares a Backend.Type, but asks the kind. What a backend does on the host is control/backend's affair, and what a worker
 * does with a packet the data plane's: a kind only knows, so it is pure and may be asked at any time.
 */
import type * as z from 'zod';
import type { EncapTask } from '../../memory/worker-task.ts';
import type { Mac } from '../../shared/address.ts';
import type { LeaseAttributes } from '../lease/lease.ts';

/** A parsed Backend of the network config: plain data, compared and shown as JSON. */
export interface BackendConfig {
  readonly type: string;
}

/** Keys as flannel spells them, and what their values must be. */
export type Options = Readonly<Record<string, z.ZodType>>;
/** Checked values. The keys are in lower case, because flannel takes them in any. */
export type Values<O extends Options> = {
  readonly [Key in keyof O & string as Lowercase<Key>]: z.output<O[Key]>;
};

/** What a packet to a peer needs besides the peer's address. */
export interface PeerData {
  /** UDP port; 0 where the kernel or somebody else carries the packets */
  port: number;
  /** VTEP MAC; all zero where the wire carries none */
  mac: Mac;
  /** raw BackendData, for the extension backend */
  data?: unknown;
}

export interface Kind<C extends BackendConfig = BackendConfig, O extends Options = Options> {
  /** Backend.Type, in lower case. */
  readonly type: C['type'];
  /** BackendType of its leases; "" for those that name none. */
  readonly publishes: string;
  /** What people call its encapsulation; "" where it has none. */
  readonly label: string;
  /**
   * Keys of Backend that it reads, besides Type. The values of all kinds' keys are checked whatever the Type is, so a key that several
   * kinds read has the same values in each.
   */
  readonly options: O;
  readonly families: readonly (4 | 6)[];
  /** Throws WeftError ERR_CONFIG that says what to change. */
  parse(values: Values<O>): C;
  /** Bytes in front of a pod's packet in the underlay, outer IP header included. */
  overheadBytes(family: 4 | 6): number;
  /** The underlay's MTU that the config asks for, bytes; undefined = the interface's. */
  outerMtu(config: C): number | undefined;
  /** Its own devices; absent where it has none. */
  readonly devices?: Devices<C>;
  /** How to reach a peer whose lease has these attributes, or why not: the lease is skipped for that reason. */
  peerData(config: C, attributes: LeaseAttributes, family: 4 | 6): PeerData | string;
  /** Absent where no packet passes through the userspace data plane. */
  tunnel?(config: C): Tunnel;
  /** It runs commands of the operator: this process keeps what they may need. */
  readonly runsCommands?: true;
}

/** A kind whose packets pass through the userspace data plane: it has devices, which the data plane makes. */
export type TunnelKind<C extends BackendConfig = BackendConfig> = Kind<C> &
  Required<Pick<Kind<C>, 'devices' | 'tunnel'>>;

export interface Devices<C extends BackendConfig = BackendConfig> {
  /** What `ip -d link` calls their kind. */
  readonly linkKind: string;
  /** Every name that {@link name} can give. */
  readonly names: RegExp;
  /** The device that carries a family, as flannel names it. */
  name(config: C, family: 4 | 6): string;
}

/** How the userspace data plane carries the packets of a config. */
export interface Tunnel {
  /** what workers put in front of packets, and the UDP port */
  readonly encap: EncapTask;
  readonly sockets: Sockets;
  /** absent where the wire carries no MACs */
  readonly vtep?: Vtep;
  /** peers on the same link get a plain route */
  readonly directRouting: boolean;
  /** VNI under which the kernel can segment super-packets (tunnel GSO); absent where it can't */
  readonly gsoVni?: number;
  /** what the config asks for and does not get, for the log */
  readonly warnings: readonly string[];
}

/** How a worker's UDP sockets are opened. */
export interface Sockets {
  /** receive on every address of the node; else on the underlay's only */
  readonly anyAddress: boolean;
  /** send from ports of their own, which spreads flows over routes and queues; else from the receiver's port */
  readonly spreadsFlows: boolean;
  readonly dontFragment: boolean;
}

/** How leases carry the MACs of VTEPs: each family's in its own backend data. */
export interface Vtep {
  /** The backend data that a node with this MAC publishes. */
  leaseData(mac: Mac): object;
  /** The MAC in any node's backend data; undefined where there is none. */
  macOf(data: unknown): Mac | undefined;
}
