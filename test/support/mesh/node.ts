/** One node of a mesh: a whole worker, the far end of its TUN and its place in the underlay. */
import type { Peer } from '../../../src/cluster/peers.ts';
import { fillLocalAddresses } from '../../../src/control/plane/local-addresses.ts';
import { fillHalf } from '../../../src/control/plane/shared-table.ts';
import type { Encapsulations } from '../../../src/dataplane/encap/encapsulations.ts';
import { createForwarder, type Forwarder } from '../../../src/dataplane/worker.ts';
import { type Addon, loadAddon } from '../../../src/memory/addon.ts';
import {
  COUNTER,
  COUNTER_BLOCK,
  type CounterName,
  DROPS_AT,
  sumBlocks,
  type Totals,
} from '../../../src/memory/counters.ts';
import { DROP, DROP_NAMES, type DropName } from '../../../src/memory/drops.ts';
import { STAT_NAMES } from '../../../src/memory/layout.ts';
import { LOCAL_ADDRESSES_BYTES } from '../../../src/memory/local-addresses.ts';
import { halfAt, TABLE_BYTES } from '../../../src/memory/table.ts';
import {
  CONTROL_WORDS,
  createObservationMemory,
  type LinkTask,
  type SourceCheck,
  type WorkerTask,
} from '../../../src/memory/worker-task.ts';
import type { Mac, Prefix, Words } from '../../../src/shared/address.ts';
import { FarEnd, openLoopback, type TunPacket } from '../far-end.ts';
import { checkSource } from '../inner-source.ts';
import { prefix, words } from '../rig.ts';
import { addonOn, type Underlay } from './underlay.ts';

const TUNNEL_MTU = 1450;

/** What node `number` (from 1) is called in every mesh. */
export interface Identity {
  number: number;
  name: string;
  family: 4 | 6;
  /** in the made-up underlay */
  address: Words;
  subnet: Prefix;
  /** the device's own address */
  device: Words;
  /** of another of its devices */
  extra: Words;
  mac: Mac;
  /** of its only pod */
  pod: string;
}

export function identityOf(number: number, family: 4 | 6): Identity {
  const is4 = family === 4;
  return {
    number,
    name: `node${number}`,
    family,
    address: words(is4 ? `192.0.2.${number}` : `2001:db8::${number}`),
    subnet: prefix(is4 ? `10.244.${number}.0/24` : `fd00:244:0:${number}::/64`),
    device: words(is4 ? `10.244.${number}.0` : `fd00:244:0:${number}::`),
    extra: words(is4 ? `203.0.113.${number}` : `2001:db8:1::${number}`),
    mac: { high: 0x02000000, low: number },
    pod: is4 ? `10.244.${number}.2` : `fd00:244:0:${number}::2`,
  };
}

export interface NodePlan<E extends { kind: string }> {
  family: 4 | 6;
  peers: readonly Peer[];
  encap: E;
  encapsulations: Encapsulations<E>;
  sourceCheck: SourceCheck;
  features: number;
}

export class MeshNode {
  readonly identity: Identity;
  readonly farEnd: FarEnd;
  /** the worker's loopback socket */
  readonly socket: { fd: number; port: number };
  /** packets that the pods' side has read */
  podReads = 0;
  /** ICMP errors that left */
  icmpReads = 0;
  /** datagrams that the fabric has taken from it */
  collected = 0;
  private readonly addon: Addon;
  private readonly forwarder: Forwarder;
  private readonly counters = new Float64Array(new SharedArrayBuffer(COUNTER_BLOCK * 8));
  private dropsSeen = this.counters.slice(DROPS_AT);

  private constructor(
    addon: Addon,
    underlay: Underlay,
    identity: Identity,
    family: 4 | 6,
    start: (node: MeshNode) => Forwarder,
  ) {
    this.addon = addon;
    this.identity = identity;
    this.farEnd = new FarEnd(addon, family, underlay.loopback);
    this.socket = openLoopback(addon, family, underlay.loopback);
    underlay.bind(identity.address, this.farEnd.port);
    underlay.name(this.farEnd.port, identity.address);
    this.forwarder = start(this);
  }

  static start<E extends { kind: string }>(
    underlay: Underlay,
    identity: Identity,
    plan: NodePlan<E>,
    clockMs: () => number,
  ): MeshNode {
    const addon = loadAddon();
    return new MeshNode(addon, underlay, identity, plan.family, (node) =>
      createForwarder(addonOn(underlay, addon, clockMs), node.task(plan), plan.encapsulations),
    );
  }

  private task<E extends { kind: string }>(plan: NodePlan<E>): WorkerTask<E> {
    const table = new SharedArrayBuffer(TABLE_BYTES);
    fillHalf(new Int32Array(table), halfAt(0), plan.peers);
    const localAddresses = new SharedArrayBuffer(LOCAL_ADDRESSES_BYTES);
    fillLocalAddresses(new Int32Array(localAddresses), this.localAddresses);
    return {
      index: 0,
      cpu: -1,
      wakeFd: -1,
      control: new SharedArrayBuffer(CONTROL_WORDS * 4),
      counters: this.counters.buffer as SharedArrayBuffer,
      table,
      localAddresses,
      observation: createObservationMemory(),
      encap: plan.encap,
      sourceCheck: plan.sourceCheck,
      links: [this.link(plan.family, plan.features)],
    };
  }

  private link(family: 4 | 6, features: number): LinkTask {
    const { address, subnet, device, mac } = this.identity;
    return {
      family,
      tunFd: this.farEnd.tunFd,
      udpFd: this.socket.fd,
      sendFds: [this.socket.fd],
      sendPorts: [this.socket.port],
      icmpFd: this.farEnd.icmpFd,
      tapFd: -1,
      tapMac: { high: 0, low: 0 },
      features,
      tunnelMtu: TUNNEL_MTU,
      podMtu: TUNNEL_MTU,
      network: prefix(family === 4 ? '10.244.0.0/16' : 'fd00:244::/48'),
      ownSubnet: subnet,
      deviceAddress: device,
      underlayAddress: address,
      ownMac: mac,
    };
  }

  /** What this host has: no packet that it writes to the TUN comes from there. */
  get localAddresses(): readonly Words[] {
    const { address, device, extra } = this.identity;
    return [address, device, extra];
  }

  /** One breath. Returns what it wrote to the TUN, and throws when somebody else's packet says that it comes from this host. */
  breathe(): TunPacket[] {
    this.forwarder.breath.take();
    const packets: TunPacket[] = [];
    for (let batch = this.farEnd.takeTun(); batch.length > 0; batch = this.farEnd.takeTun())
      packets.push(...batch);
    for (const { packet } of packets) checkSource(packet, this.localAddresses);
    this.podReads += packets.length;
    this.icmpReads += this.farEnd.takeIcmp().length;
    return packets;
  }

  count(name: CounterName): number {
    return this.counters[COUNTER[name]] as number;
  }

  stat(name: (typeof STAT_NAMES)[number]): number {
    return this.counters[STAT_NAMES.indexOf(name)] as number;
  }

  drops(name: DropName): number {
    return this.counters[DROPS_AT + DROP[name]] as number;
  }

  /** Drops since the last call, in words: "2 inWrongVni". */
  newDrops(): string[] {
    const now = this.counters.slice(DROPS_AT);
    const found = DROP_NAMES.flatMap((name, i) => {
      const more = (now[i] as number) - (this.dropsSeen[i] as number);
      return more > 0 ? [`${more} ${name}`] : [];
    });
    this.dropsSeen = now;
    return found;
  }

  totals(): Totals {
    return sumBlocks([this.counters]);
  }

  close(): void {
    this.addon.destroyEngine(this.forwarder.engine);
    this.farEnd.close();
    this.addon.close(this.socket.fd);
  }
}
