/**
 * A whole worker in this process, without root: its TUN is one end of a SEQPACKET socketpair, its underlay a real UDP socket on
 * loopback. The far side is a second engine that feeds and drains both. Everything is synchronous and allocates nothing per packet.
 */

import type { Peer } from '../../src/cluster/peers.ts';
import { fillHalf } from '../../src/control/plane/shared-table.ts';
import { Pool, slotAt } from '../../src/dataplane/pool.ts';
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
import { FEATURES_ALL, LAYOUT, ROW } from '../../src/memory/layout.ts';
import { halfAt, TABLE_BYTES } from '../../src/memory/table.ts';
import {
  CONTROL_WORDS,
  createObservationMemory,
  type SourceCheck,
  type WorkerTask,
} from '../../src/memory/worker-task.ts';
import {
  addressBytes,
  type Mac,
  type Prefix,
  parseAddress,
  parseMac,
  parsePrefix,
  type Words,
} from '../../src/shared/address.ts';

export interface RigOptions {
  family?: 4 | 6;
  kind?: 'vxlan' | 'udp';
  gbp?: boolean;
  sourceCheck?: SourceCheck;
  features?: number;
  mtu?: number;
  ownMac?: string;
  peerMac?: string;
  /** underlay address that the table gives the peer; by default the one its socket really has */
  peerAddress?: string;
}

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
  readonly far = new Pool();
  readonly farEngine: number;
  readonly forwarder: Forwarder;
  readonly port: number;
  readonly table = new SharedArrayBuffer(TABLE_BYTES);
  readonly observation = createObservationMemory();
  private readonly family: 4 | 6;
  private readonly nodeAddress: Words;
  private readonly fds: number[] = [];

  constructor(options: RigOptions = {}) {
    this.family = options.family ?? 4;
    const local = this.family === 4 ? '127.0.0.1' : '::1';
    const remote = this.family === 4 ? '127.0.0.2' : '::1';
    this.nodeAddress = words(local);
    const [tunNode, tunFar] = this.addon.openPair();
    const node = this.openUdp(local);
    const far = this.openUdp(remote);
    this.port = node.port;
    this.fds.push(tunNode, tunFar);
    const mac = (text: string): Mac => parseMac(text) as Mac;
    const features = options.features ?? FEATURES_ALL;
    const peer: Peer = {
      key: 'peer',
      family: this.family,
      subnet: prefix(this.family === 4 ? '10.244.2.0/24' : 'fd00:244:0:2::/64'),
      address: words(options.peerAddress ?? remote),
      port: far.port,
      mac: mac(options.peerMac ?? '02:00:00:00:00:02'),
    };
    fillHalf(new Int32Array(this.table), halfAt(0), [peer]);
    this.forwarder = createForwarder(this.addon, this.task(options, features, tunNode, node.fd));
    this.farEngine = this.addon.createEngine({
      pool: this.far.bytes,
      tunIn: this.far.tunIn,
      udpIn: this.far.udpIn,
      tunOut: this.far.tunOut,
      stats: new Float64Array(LAYOUT.statCount),
      clock: new Int32Array(2),
      wakeFd: -1,
    });
    const farPorts = {
      family: this.family,
      tunFd: tunFar,
      udpFd: far.fd,
      sendFds: Int32Array.of(far.fd),
      tapFd: -1,
    };
    this.addon.attachLink(this.farEngine, { ...farPorts, features: FEATURES_ALL });
  }

  private openUdp(address: string): { fd: number; port: number } {
    const opened = this.addon.openUdp({
      family: this.family,
      address: addressBytes(words(address)),
      port: 0,
      reusePort: false,
      gro: true,
      dontFragment: false,
      bufferBytes: 4 << 20,
    });
    this.fds.push(opened.fd);
    return opened;
  }

  private task(options: RigOptions, features: number, tunFd: number, udpFd: number): WorkerTask {
    const is4 = this.family === 4;
    return {
      index: 0,
      cpu: -1,
      wakeFd: -1,
      control: new SharedArrayBuffer(CONTROL_WORDS * 4),
      counters: this.counters.buffer as SharedArrayBuffer,
      table: this.table,
      observation: this.observation,
      encap:
        options.kind === 'udp'
          ? { kind: 'udp', port: this.port }
          : { kind: 'vxlan', vni: 1, port: this.port, gbp: options.gbp ?? false },
      sourceCheck: options.sourceCheck ?? 'lease',
      links: [
        {
          family: this.family,
          tunFd,
          udpFd,
          sendFds: [udpFd],
          sendPorts: [this.port],
          tapFd: -1,
          tapMac: { high: 0, low: 0 },
          features,
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

  /** A packet from a pod: written to the TUN, then one breath. */
  outbound(packet: Uint8Array, gso = 0, gsoSize = 0, csumStart = 0, csumOffset = 0): void {
    this.stageTun(0, packet, gso, gsoSize, csumStart, csumOffset);
    this.addon.tunSend(this.farEngine, 0, 1);
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
    const at = slotAt(index);
    this.far.bytes.set(packet, at);
    const row = index * LAYOUT.rowInts;
    this.far.tunOut[row + ROW.offset] = at;
    this.far.tunOut[row + ROW.length] = packet.length;
    this.far.tunOut[row + ROW.gso] = gso;
    this.far.tunOut[row + ROW.gsoSize] = gsoSize;
    this.far.tunOut[row + ROW.csumStart] = csumStart;
    this.far.tunOut[row + ROW.csumOffset] = csumOffset;
  }

  /** A datagram from the peer: sent to the node's socket, then one breath. */
  inbound(payload: Uint8Array, tos = 0): void {
    this.stageUdp(0, payload, tos);
    this.addon.udpSend(this.farEngine, 0, 1);
    this.forwarder.breath.take();
  }

  /** Fills one row of the far side's UDP batch. */
  stageUdp(index: number, payload: Uint8Array, tos = 0): void {
    const at = slotAt(index);
    this.far.bytes.set(payload, at);
    const row = index * LAYOUT.rowInts;
    this.far.tunIn.fill(0, row, row + LAYOUT.rowInts);
    this.far.tunIn[row + ROW.offset] = at;
    this.far.tunIn[row + ROW.length] = payload.length;
    this.far.tunIn[row + ROW.tos] = tos;
    this.far.tunIn[row + ROW.port] = this.port;
    this.far.tunIn.set(this.nodeAddress, row + ROW.address);
  }

  /** Datagrams that the peer received, merged ones taken apart. */
  takeUdp(): { payload: Uint8Array; tos: number }[] {
    const taken: { payload: Uint8Array; tos: number }[] = [];
    const count = this.addon.udpReceive(this.farEngine, 0);
    for (let i = 0; i < count; i++) {
      const row = i * LAYOUT.rowInts;
      const at = this.far.udpIn[row + ROW.offset] as number;
      const length = this.far.udpIn[row + ROW.length] as number;
      const stride = (this.far.udpIn[row + ROW.gsoSize] as number) || length;
      const tos = this.far.udpIn[row + ROW.tos] as number;
      for (let from = 0; from < length; from += stride) {
        taken.push({
          payload: this.far.bytes.slice(at + from, at + Math.min(length, from + stride)),
          tos,
        });
      }
    }
    return taken;
  }

  /** Packets that the node wrote to its TUN, with the vnet header's fields. */
  takeTun(): {
    packet: Uint8Array;
    gso: number;
    gsoSize: number;
    csumStart: number;
    csumOffset: number;
  }[] {
    const count = this.addon.tunReceive(this.farEngine, 0);
    return Array.from({ length: Math.max(0, count) }, (_, i) => {
      const column = (name: keyof typeof ROW): number =>
        this.far.tunIn[i * LAYOUT.rowInts + ROW[name]] as number;
      const at = column('offset');
      return {
        packet: this.far.bytes.slice(at, at + column('length')),
        gso: column('gso'),
        gsoSize: column('gsoSize'),
        csumStart: column('csumStart'),
        csumOffset: column('csumOffset'),
      };
    });
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
    this.addon.destroyEngine(this.farEngine);
    for (const fd of this.fds) this.addon.close(fd);
  }
}
