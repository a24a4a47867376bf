/** A whole worker in this process, without root, and one peer of it: what stands behind its TUN and at the far end of the underlay. */

import type { Peer } from '../../src/cluster/peers.ts';
import { fillLocalAddresses } from '../../src/control/plane/local-addresses.ts';
import { fillHalf } from '../../src/control/plane/shared-table.ts';
import { ENCAPSULATIONS } from '../../src/dataplane/encap/encapsulations.ts';
import type { Pool } from '../../src/dataplane/pool.ts';
import { createForwarder, type Forwarder } from '../../src/dataplane/worker.ts';
import { type Addon, loadAddon } from '../../src/memory/addon.ts';
import {
  COUNTER,
  COUNTER_BLOCK,
  DROPS_AT,
  sumBlocks,
  type Totals,
} from '../../src/memory/counters.ts';
import { DROP, type DropName } from '../../src/memory/drops.ts';
import { FEATURES_ALL } from '../../src/memory/layout.ts';
import { LOCAL_ADDRESSES_BYTES } from '../../src/memory/local-addresses.ts';
import { halfAt, TABLE_BYTES } from '../../src/memory/table.ts';
import {
  CONTROL_WORDS,
  createObservationMemory,
  type SourceCheck,
  type WorkerTask,
} from '../../src/memory/worker-task.ts';
import {
  type Mac,
  type Prefix,
  parseAddress,
  parseMac,
  parsePrefix,
  type Words,
} from '../../src/shared/address.ts';
import { type Datagram, FarEnd, openLoopback, type TunPacket } from './far-end.ts';

export interface RigOptions {
  family?: 4 | 6;
  kind?: 'vxlan' | 'udp';
  gbp?: boolean;
  sourceCheck?: SourceCheck;
  features?: number;
  mtu?: number;
  /** bulk flows have a queue of their own: {@link Rig.bulk} */
  hasBulk?: boolean;
  ownMac?: string;
  peerMac?: string;
  /** underlay address that the table gives the peer; by default the one its socket really has */
  peerAddress?: string;
}

/** What the node has besides its device's and its underlay address, and what the fuzzers try as inner sources. */
export const LOCAL_ADDRESSES = ['192.0.2.77', '2001:db8::77'] as const;

export function words(text: string): Words {
  const parsed = parseAddress(text);
  if (!parsed) throw new Error(`no address: ${text}`);
  return parsed;
}

export function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (!parsed) throw new Error(`no prefix: ${text}`);
  return parsed;
}

/** The node under test owns 10.244.1.0/24 (fd00:244:0:1::/64), its peer 10.244.2.0/24 (fd00:244:0:2::/64). */
export class Rig {
  readonly addon: Addon = loadAddon();
  readonly counters = new Float64Array(new SharedArrayBuffer(COUNTER_BLOCK * 8));
  readonly forwarder: Forwarder;
  readonly port: number;
  readonly table = new SharedArrayBuffer(TABLE_BYTES);
  readonly localAddresses = new SharedArrayBuffer(LOCAL_ADDRESSES_BYTES);
  readonly observation = createObservationMemory();
  readonly family: 4 | 6;
  /** of the node's host, as it was told */
  ownAddresses: readonly Words[] = [];
  private readonly nodeAddress: Words;
  private readonly farEnd: FarEnd;
  private readonly nodeFd: number;
  /** what stands behind the queue for bulk flows, and the port of its socket */
  readonly bulk: { end: FarEnd; port: number } | undefined;
  private readonly bulkFd: number = -1;

  constructor(options: RigOptions = {}) {
    this.family = options.family ?? 4;
    const remote = this.family === 4 ? '127.0.0.2' : '::1';
    this.nodeAddress = words(this.family === 4 ? '127.0.0.1' : '::1');
    const node = openLoopback(this.addon, this.family, this.nodeAddress);
    this.farEnd = new FarEnd(this.addon, this.family, words(remote));
    this.port = node.port;
    this.nodeFd = node.fd;
    if (options.hasBulk) {
      const { fd, port } = openLoopback(this.addon, this.family, this.nodeAddress);
      this.bulk = { end: new FarEnd(this.addon, this.family, words(remote)), port };
      this.bulkFd = fd;
    }
    const peer: Peer = {
      key: 'peer',
      family: this.family,
      subnet: prefix(this.family === 4 ? '10.244.2.0/24' : 'fd00:244:0:2::/64'),
      address: words(options.peerAddress ?? remote),
      port: this.farEnd.port,
      mac: parseMac(options.peerMac ?? '02:00:00:00:00:02') as Mac,
    };
    fillHalf(new Int32Array(this.table), halfAt(0), [peer]);
    this.setLocalAddresses(LOCAL_ADDRESSES);
    this.forwarder = createForwarder(this.addon, this.task(options), ENCAPSULATIONS);
  }

  get far(): Pool {
    return this.farEnd.pool;
  }

  get farEngine(): number {
    return this.farEnd.engine;
  }

  private task(options: RigOptions): WorkerTask {
    const is4 = this.family === 4;
    return {
      index: 0,
      cpu: -1,
      wakeFd: -1,
      control: new SharedArrayBuffer(CONTROL_WORDS * 4),
      counters: this.counters.buffer as SharedArrayBuffer,
      table: this.table,
      localAddresses: this.localAddresses,
      observation: this.observation,
      encap:
        options.kind === 'udp'
          ? { kind: 'udp', port: this.port }
          : { kind: 'vxlan', vni: 1, port: this.port, gbp: options.gbp ?? false },
      sourceCheck: options.sourceCheck ?? 'lease',
      links: [
        {
          family: this.family,
          tunFd: this.farEnd.tunFd,
          udpFd: this.nodeFd,
          sendFds: [this.nodeFd],
          sendPorts: [this.port],
          bulk: this.bulk && {
            tunFd: this.bulk.end.tunFd,
            udpFd: this.bulkFd,
            sendFds: [this.bulkFd],
            sendPorts: [this.bulk.port],
          },
          icmpFd: this.farEnd.icmpFd,
          tapFd: -1,
          tapMac: { high: 0, low: 0 },
          features: options.features ?? FEATURES_ALL,
          tunnelMtu: options.mtu ?? 1450,
          podMtu: options.mtu ?? 1450,
          network: prefix(is4 ? '10.244.0.0/16' : 'fd00:244::/48'),
          ownSubnet: prefix(is4 ? '10.244.1.0/24' : 'fd00:244:0:1::/64'),
          deviceAddress: words(is4 ? '10.244.1.0' : 'fd00:244:0:1::'),
          underlayAddress: this.nodeAddress,
          ownMac:
            options.kind === 'udp'
              ? { high: 0, low: 0 }
              : (parseMac(options.ownMac ?? '02:00:00:00:00:01') as Mac),
        },
      ],
    };
  }

  /** The host has these from now on, besides those of the overlay. */
  setLocalAddresses(addresses: readonly string[]): void {
    const own = this.family === 4 ? '10.244.1.0' : 'fd00:244:0:1::';
    this.ownAddresses = [words(own), this.nodeAddress, ...addresses.map(words)];
    fillLocalAddresses(new Int32Array(this.localAddresses), this.ownAddresses);
  }

  /** A packet from a pod: written to the TUN, then one breath. */
  outbound(packet: Uint8Array, gso = 0, gsoSize = 0, csumStart = 0, csumOffset = 0): void {
    this.stageTun(0, packet, gso, gsoSize, csumStart, csumOffset);
    this.farEnd.sendTun(1);
    this.forwarder.breath.take();
  }

  /** Fills one row of the far side's TUN batch. */
  stageTun(
    index: number,
    packet: Uint8Array,
    gso = 0,
    gsoSize = 0,
    csumStart = 0,
    csumOffset = 0,
  ): void {
    this.farEnd.stageTun(index, packet, { gso, gsoSize, csumStart, csumOffset });
  }

  /** A datagram from the peer: sent to the node's socket, then one breath. */
  inbound(payload: Uint8Array, tos = 0): void {
    this.stageUdp(0, payload, tos);
    this.farEnd.sendUdp(1);
    this.forwarder.breath.take();
  }

  /** Fills one row of the far side's UDP batch. */
  stageUdp(index: number, payload: Uint8Array, tos = 0): void {
    this.farEnd.stageUdp(index, payload, { port: this.port, address: this.nodeAddress }, tos);
  }

  /** Datagrams that the peer received, merged ones taken apart. */
  takeUdp(): Datagram[] {
    return this.farEnd.takeUdp();
  }

  /** Packets that the node wrote to its TUN, with the vnet header's fields. */
  takeTun(): TunPacket[] {
    return this.farEnd.takeTun();
  }

  /** ICMP errors that the node sent. */
  takeIcmp(): Uint8Array[] {
    return this.farEnd.takeIcmp();
  }

  drops(name: DropName): number {
    return this.counters[DROPS_AT + DROP[name]] as number;
  }

  totals(): Totals {
    return sumBlocks([this.counters]);
  }

  /** True when every packet was forwarded or dropped, once. */
  isBalanced(): boolean {
    const { counters: c, drops } = this.totals();
    const sum = (record: Record<string, number>): number =>
      Object.values(record).reduce((a, b) => a + b, 0);
    return (
      c.outPackets === c.sentPackets + sum(drops.outbound) &&
      c.inPackets === c.deliveredPackets + sum(drops.inbound)
    );
  }

  count(name: keyof typeof COUNTER): number {
    return this.counters[COUNTER[name]] as number;
  }

  close(): void {
    this.addon.destroyEngine(this.forwarder.engine);
    this.farEnd.close();
    this.addon.close(this.nodeFd);
    this.bulk?.end.close();
    if (this.bulk) this.addon.close(this.bulkFd);
  }
}
