/** A stock flannel node: kernel VXLAN programmed exactly as flanneld does it (vxlan backend, VNI 1). */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../src/shared/errors.ts';
import { overheadBytes } from '../src/wire/overhead.ts';
import { UNDERLAY_DEVICE, type UnderlayAddress } from './fabric.ts';
import type { LeaseBoard } from './lease-board.ts';
import {
  leaseKey,
  leaseValue,
  type PeerEntry,
  peerEntries,
  type VxlanLease,
} from './lease-file.ts';
import type { Namespace } from './namespace.ts';
import { addressInSubnet, type LabNode, mustParsePrefix, type NodeNetwork } from './node.ts';

export interface KernelNodeOptions {
  /** counted from 1 over all nodes; gives the subnet */
  index: number;
  board: LeaseBoard;
  families: readonly (4 | 6)[];
  underlayMtu?: number;
}

const DEVICES = { 4: 'flannel.1', 6: 'flannel-v6.1' } as const;

/** Kernel VXLAN devices, a lease file written by hand, and a follower that stands for flanneld. */
export class KernelNode implements LabNode {
  readonly name: string;
  readonly kind = 'kernel';
  readonly namespace: Namespace;
  readonly underlay: UnderlayAddress;
  readonly network: NodeNetwork;
  /** what the kernel refused while following the store; flanneld would log it */
  readonly problems: string[] = [];
  /** leases that it began or ceased to follow, and its problems, in order */
  readonly history: string[] = [];
  readonly #options: KernelNodeOptions;
  #lease: VxlanLease;
  #programmed = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;
  /** how often all was read and programmed */
  #read = 0;
  #turn: Promise<void> = Promise.resolve();

  constructor(
    name: string,
    namespace: Namespace,
    underlay: UnderlayAddress,
    options: KernelNodeOptions,
  ) {
    this.name = name;
    this.namespace = namespace;
    this.underlay = underlay;
    this.#options = options;
    this.#lease = leaseOf(underlay, options);
    this.network = {
      ...(this.#lease.subnet4 && { subnet4: this.#lease.subnet4 }),
      ...(this.#lease.subnet6 && { subnet6: this.#lease.subnet6 }),
      mtu: mtuOf(options.families.includes(6) ? 6 : 4, options),
    };
  }

  /** Name of its lease in the store. */
  get leaseKey(): string {
    return leaseKey(this.#lease);
  }

  /** Makes the devices, publishes the lease, starts to follow the others'. */
  async start(): Promise<void> {
    for (const family of this.#options.families) await this.#addDevice(family);
    await this.publish();
    await this.#follow();
  }

  /** Writes its lease (again). */
  async publish(): Promise<void> {
    await this.#options.board.write(this.leaseKey, leaseValue(this.#lease));
  }

  /** Its vxlan devices get new MACs, and its lease says so: what a reboot of a stock node does. */
  async changeMac(): Promise<void> {
    const isFollowing = this.#timer !== undefined;
    await this.stopFollowing(); // what it programs meanwhile would be lost with the old address
    this.#lease = { ...this.#lease, ...macsFor(this.#options.families) };
    for (const family of this.#options.families) {
      const mac = (family === 4 ? this.#lease.vtepMac : this.#lease.vtepMacV6) as string;
      await this.namespace.ip('link', 'set', DEVICES[family], 'address', mac);
    }
    this.#programmed.clear(); // with its address a device loses its neighbours, and flanneld writes them anew
    await this.publish();
    if (isFollowing) await this.#follow();
  }

  /** Stops following, removes lease and devices (their peers go with them). */
  async stop(): Promise<void> {
    await this.stopFollowing();
    await this.#options.board.remove(this.leaseKey);
    this.#programmed.clear();
    for (const family of this.#options.families) {
      await this.namespace.ip('link', 'delete', DEVICES[family]);
    }
  }

  /** Resolves when what the store says now is programmed; throws when that takes too long. A no-op while it does not follow. */
  async catchUp(timeoutMs = 120_000): Promise<void> {
    const wanted = this.#read + 1;
    const deadline = Date.now() + timeoutMs;
    while (this.#timer !== undefined && this.#read <= wanted) {
      if (Date.now() > deadline) throw new Error(`${this.name} did not follow in ${timeoutMs} ms`);
      await sleep(50);
    }
  }

  /** Keeps what is programmed, as a node whose flanneld is down. */
  async stopFollowing(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#turn;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  async #addDevice(family: 4 | 6): Promise<void> {
    const device = DEVICES[family];
    const local = family === 4 ? this.underlay.address4 : this.underlay.address6;
    const mac = (family === 4 ? this.#lease.vtepMac : this.#lease.vtepMacV6) as string;
    const mtu = mtuOf(family, this.#options);
    const head = ['link', 'add', device, 'mtu', String(mtu), 'address', mac];
    const vxlan = [
      'type',
      'vxlan',
      'id',
      '1',
      'dev',
      UNDERLAY_DEVICE,
      'local',
      local,
      'nolearning',
    ];
    await this.namespace.ip(...head, ...vxlan, 'dstport', '8472');
    await this.namespace.sysctl({ [`net/ipv6/conf/${device}/accept_ra`]: 0 });
    const subnet = family === 4 ? this.#lease.subnet4 : this.#lease.subnet6;
    if (!subnet) return;
    const address = `${addressInSubnet(subnet, 0)}/${family === 4 ? 32 : 128}`;
    const flags = family === 4 ? [] : ['nodad'];
    await this.namespace.ip('addr', 'add', address, 'dev', device, ...flags);
    await this.namespace.ip('link', 'set', device, 'up');
  }

  async #follow(): Promise<void> {
    this.#turn = this.#reconcile();
    await this.#turn;
    this.#timer = setTimeout(() => void this.#follow(), this.#options.board.pollMs).unref();
  }

  async #reconcile(): Promise<void> {
    const wanted = await this.#options.board.read().catch((error) => {
      this.#note(`store: ${messageOf(error)}`);
      return undefined; // as flanneld: what is programmed stays
    });
    if (!wanted) return;
    wanted.delete(this.leaseKey);
    for (const [key, value] of this.#programmed) {
      if (wanted.has(key)) continue;
      this.history.push(`- ${key}`);
      await this.#each(key, value, (peer) => this.#removePeer(peer));
    }
    for (const [key, value] of wanted) {
      if (this.#programmed.get(key) === value) continue;
      this.history.push(`+ ${key}`);
      await this.#each(key, value, (peer) => this.#addPeer(peer));
    }
    this.#programmed = wanted;
    this.#read++;
  }

  async #each(key: string, value: string, act: (peer: PeerEntry) => Promise<void>): Promise<void> {
    for (const peer of peerEntries(key, value)) {
      if (!this.#options.families.includes(peer.family)) continue;
      try {
        await act(peer);
      } catch (error) {
        this.#note(`${key}: ${messageOf(error)}`);
      }
    }
  }

  #note(problem: string): void {
    this.problems.push(problem);
    this.history.push(problem);
  }

  /** Neighbour, forwarding entry, route, in flanneld's order. */
  async #addPeer(peer: PeerEntry): Promise<void> {
    const device = DEVICES[peer.family];
    const route = [`${peer.network}/${peer.length}`, 'via', peer.network, 'dev', device, 'onlink'];
    await this.namespace.ip(
      'neigh',
      'replace',
      peer.network,
      'lladdr',
      peer.mac,
      'dev',
      device,
      'nud',
      'permanent',
    );
    await this.#fdb('replace', peer, 'permanent');
    await this.namespace.ip(`-${peer.family}`, 'route', 'replace', ...route);
  }

  async #removePeer(peer: PeerEntry): Promise<void> {
    const device = DEVICES[peer.family];
    await this.namespace.ip('neigh', 'del', peer.network, 'dev', device);
    await this.#fdb('del', peer);
    await this.namespace.ip(
      `-${peer.family}`,
      'route',
      'del',
      `${peer.network}/${peer.length}`,
      'dev',
      device,
    );
  }

  async #fdb(verb: string, peer: PeerEntry, ...flags: string[]): Promise<void> {
    const args = [
      'fdb',
      verb,
      peer.mac,
      'dev',
      DEVICES[peer.family],
      'dst',
      peer.publicIp,
      'self',
      ...flags,
    ];
    await this.namespace.exec('bridge', args);
  }
}

/** MTU of the device that carries a family; pods get that of the smallest. */
function mtuOf(family: 4 | 6, { underlayMtu = 1500 }: KernelNodeOptions): number {
  return underlayMtu - overheadBytes('vxlan', family);
}

/** Subnets far above those that daemons choose first, so that a clash is a finding and not the lab's doing. */
function leaseOf(underlay: UnderlayAddress, options: KernelNodeOptions): VxlanLease {
  const { index, families } = options;
  return {
    ...(families.includes(4) && {
      subnet4: mustParsePrefix(nodeSubnet(index, 4)),
      publicIp: underlay.address4,
    }),
    ...(families.includes(6) && {
      subnet6: mustParsePrefix(nodeSubnet(index, 6)),
      publicIpv6: underlay.address6,
    }),
    ...macsFor(families),
  };
}

/** The subnet of the node of this number, where the lab chooses it. */
export function nodeSubnet(index: number, family: 4 | 6): string {
  const third = 200 + index;
  return family === 4 ? `10.244.${third}.0/24` : `fd00:244:0:${third.toString(16)}::/64`;
}

function macsFor(families: readonly (4 | 6)[]): Pick<VxlanLease, 'vtepMac' | 'vtepMacV6'> {
  return {
    ...(families.includes(4) && { vtepMac: randomMac() }),
    ...(families.includes(6) && { vtepMacV6: randomMac() }),
  };
}

/** Random, locally administered, unicast. */
function randomMac(): string {
  const bytes = randomBytes(6);
  bytes[0] = ((bytes[0] as number) & 0xfe) | 0x02;
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}
