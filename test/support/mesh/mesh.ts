/**
 * N whole workers in this process, joined by a fabric that loses, copies, damages, delays and reorders datagrams as its seed says. No
 * root, no timers: time is the number of steps.
 *
 * Why two runs of one seed are equal, byte for byte and event for event:
 * - Everything happens on one thread, nodes one after the other by number: first each reads its TUN and sends, then each receives.
 * - Datagrams travel over loopback, but nothing is decided by when they arrive. After a node has sent, the fabric waits until it has as
 *   many datagrams as the worker counted, takes merged ones apart and looks at them by destination, then in the order they were sent.
 *   Before a node receives, a marker sent behind its datagrams has come back: loopback keeps order, so they are all there.
 * - Workers see made-up addresses and the mesh's clock (underlay.ts), and the fabric draws from one generator only.
 */
import { crc32 } from 'node:zlib';
import { Random } from '../../../lab/random.ts';
import type { Peer } from '../../../src/cluster/peers.ts';
import {
  ENCAPSULATIONS,
  type Encapsulations,
} from '../../../src/dataplane/encap/encapsulations.ts';
import { loadAddon } from '../../../src/memory/addon.ts';
import { FEATURES_ALL } from '../../../src/memory/layout.ts';
import type { EncapTask, SourceCheck } from '../../../src/memory/worker-task.ts';
import type { Mac } from '../../../src/shared/address.ts';
import { getOrMake } from '../../../src/shared/memo.ts';
import { type Datagram, FarEnd, type Offload, type TunPacket } from '../far-end.ts';
import { words } from '../rig.ts';
import { checkBooks } from './books.ts';
import { Fabric, type Faults, type Flight } from './fabric.ts';
import { MeshLog } from './log.ts';
import { type Identity, identityOf, MeshNode } from './node.ts';
import { UNDERLAY_PORT, Underlay } from './underlay.ts';

export interface MeshOptions<E extends { kind: string }> {
  seed: number;
  /** 2 to NODES_MAX */
  nodes: number;
  encapsulations: Encapsulations<E>;
  /** what a node's workers are told of their encapsulation */
  encapOf: (node: number) => E;
  family?: 4 | 6;
  faults?: Faults;
  sourceCheck?: SourceCheck;
  features?: number;
  /** what the table of `node` says of a peer's MAC; by default the truth */
  macOf?: (node: number, peer: Identity) => Mac;
}

/** Each node has two of a thread's 16 engines, strangers have one. */
export const NODES_MAX = 7;

export const VXLAN = {
  encapsulations: ENCAPSULATIONS,
  encapOf: (): EncapTask => ({ kind: 'vxlan', vni: 1, port: UNDERLAY_PORT }),
};
export const FLANNEL_UDP = {
  encapsulations: ENCAPSULATIONS,
  encapOf: (): EncapTask => ({ kind: 'udp', port: UNDERLAY_PORT }),
};

const STEP_MS = 10;
/** What the sockets between node and far end surely hold. */
const BATCH_PACKETS = 32;
const BATCH_BYTES = 96 * 1024;
const BREATHS_MAX = 100;
/** The kernel may be late on a busy machine; then it has so many looks of so many ms. */
const LOOKS_MAX = 1000;
const LOOK_MS = 5;

interface Written {
  packet: Uint8Array;
  offload: Partial<Offload>;
}

export class Mesh {
  readonly log = new MeshLog();
  readonly fabric: Fabric;
  readonly nodes: readonly MeshNode[];
  private readonly underlay: Underlay;
  /** for the packets of whoever is no node */
  private readonly strangers: FarEnd;
  private readonly written = new Map<MeshNode, Written[]>();
  private readonly delivered = new Map<MeshNode, TunPacket[]>();
  private now = 0;

  static start<E extends { kind: string }>(options: MeshOptions<E>): Mesh {
    return new Mesh(options, (number, underlay, clockMs) => {
      const { nodes, family = 4, encapOf, encapsulations, macOf } = options;
      const others = identitiesOf(nodes, family).filter((other) => other.number !== number);
      const plan = {
        family,
        peers: others.map((other) => peerOf(other, family, macOf?.(number, other) ?? other.mac)),
        encap: encapOf(number),
        encapsulations,
        sourceCheck: options.sourceCheck ?? 'lease',
        features: options.features ?? FEATURES_ALL,
      };
      return MeshNode.start(underlay, identityOf(number, family), plan, clockMs);
    });
  }

  private constructor(
    { seed, nodes, family = 4, faults = {} }: Omit<MeshOptions<never>, 'encapOf'>,
    start: (number: number, underlay: Underlay, clockMs: () => number) => MeshNode,
  ) {
    if (nodes > NODES_MAX) throw new RangeError(`${nodes} nodes: at most ${NODES_MAX}`);
    this.underlay = new Underlay(words(family === 4 ? '127.0.0.1' : '::1'));
    this.strangers = new FarEnd(loadAddon(), family, this.underlay.loopback);
    this.fabric = new Fabric(new Random(seed), faults);
    const clockMs = (): number => this.now * STEP_MS;
    this.nodes = identitiesOf(nodes, family).map(({ number }) =>
      start(number, this.underlay, clockMs),
    );
    for (const node of this.nodes) this.underlay.name(node.socket.port, node.identity.address);
  }

  /** By its number, from 1. */
  node(number: number): MeshNode {
    return this.nodes[number - 1] as MeshNode;
  }

  /** A packet that the node's kernel hands to the TUN in the next step. */
  write(from: number, packet: Uint8Array, offload: Partial<Offload> = {}): void {
    listOf(this.written, this.node(from)).push({ packet, offload });
  }

  /** A datagram from any address, which reaches the node in the next step. */
  inject(source: string, to: number, bytes: Uint8Array, tos = 0): void {
    const id = this.fabric.place(to, bytes, tos, words(source), this.now + 1);
    this.log.add(this.now, source, this.node(to).identity.name, `#${id} ${bytes.length} B`);
  }

  /** From now on the node's datagrams come from this address, as behind a NAT; what goes to its old one still reaches it. */
  move(number: number, address: string): void {
    this.underlay.name(this.node(number).farEnd.port, words(address));
  }

  /** Packets that reached the node's pods since the last call. */
  take(number: number): TunPacket[] {
    return listOf(this.delivered, this.node(number)).splice(0);
  }

  /** Every node sends what its pods wrote, then every node receives what is due. */
  step(): void {
    this.now++;
    for (const node of this.nodes) this.sendFrom(node);
    for (const node of this.nodes) this.deliverTo(node);
    checkBooks(this.nodes, this.fabric);
  }

  /** Steps until nothing is under way. */
  settle(): void {
    do this.step();
    while (this.fabric.inFlight > 0);
  }

  private sendFrom(node: MeshNode): void {
    for (const batch of batchesOf(listOf(this.written, node).splice(0), ({ packet }) => packet)) {
      for (const [i, { packet, offload }] of batch.entries()) {
        node.farEnd.stageTun(i, packet, offload);
        this.log.add(this.now, podOf(node), node.identity.name, `${packet.length} B`);
      }
      const refused = node.farEnd.sendTun(batch.length);
      if (refused > 0) this.log.add(this.now, podOf(node), undefined, `${refused} not written`);
      this.breathe(node, () => node.count('outPackets') === node.farEnd.stat('tunWrites'));
      this.collect(node);
    }
  }

  private deliverTo(node: MeshNode): void {
    const arrivals = this.fabric.arrivals(node.identity.number, this.now);
    for (const batch of batchesOf(arrivals, ({ bytes }) => bytes, isStrangers)) {
      const goal = node.count('inPackets') + batch.length;
      for (const message of this.fabric.messagesOf(batch)) this.deliver(node, message);
      this.awaitArrival(node);
      this.breathe(node, () => node.count('inPackets') === goal);
    }
  }

  private breathe(node: MeshNode, isDone: () => boolean): void {
    for (let breaths = 0; !isDone(); breaths++) {
      if (breaths === BREATHS_MAX) throw new Error(`${node.identity.name} has lost packets`);
      const packets = node.breathe();
      for (const drops of node.newDrops())
        this.log.add(this.now, node.identity.name, undefined, `drops ${drops}`);
      for (const { packet } of packets) {
        const text = `${packet.length} B, ${crc32(packet).toString(16)}`;
        this.log.add(this.now, node.identity.name, podOf(node), text);
      }
      listOf(this.delivered, node).push(...packets);
    }
  }

  /** Hands what the node has sent to the fabric, by destination. */
  private collect(from: MeshNode): void {
    const others = this.nodes.filter((node) => node !== from);
    const taken = others.map((): Datagram[] => []);
    const missing = (): number =>
      from.stat('udpDatagramsOut') - from.collected - taken.flat().length;
    for (let looks = 0; missing() > 0; looks++) {
      if (looks === LOOKS_MAX) throw new Error(`loopback has lost ${missing()} datagrams`);
      others.forEach((to, i) => {
        taken[i]?.push(...to.farEnd.takeUdp());
      });
      if (missing() > 0) sleep(LOOK_MS);
    }
    from.collected = from.stat('udpDatagramsOut');
    others.forEach((to, i) => {
      for (const { payload, tos } of taken[i] ?? []) this.accept(from, to, payload, tos);
    });
  }

  private accept(from: MeshNode, to: MeshNode, bytes: Uint8Array, tos: number): void {
    const { number, name } = from.identity;
    const fate = this.fabric.accept(number, to.identity.number, bytes, tos, this.now);
    this.log.add(this.now, name, to.identity.name, fate);
  }

  /** Sends the datagrams of one kernel message to the node's socket. */
  private deliver(to: MeshNode, message: readonly Flight[]): void {
    const { from, source } = message[0] as Flight;
    const sender = source ? this.strangers : this.node(from).farEnd;
    if (source) this.underlay.name(sender.port, source);
    const destination = { port: to.socket.port, address: this.underlay.loopback };
    message.forEach(({ bytes, tos }, i) => {
      sender.stageUdp(i, bytes, destination, tos);
    });
    if (sender.sendUdp(message.length) > 0) throw new Error('loopback takes no datagram');
    const ids = message.map(({ id }) => `#${id}`).join(', ');
    const how = message.length > 1 ? ' in one message' : '';
    this.log.add(this.now, 'fabric', to.identity.name, `${ids}${how}`);
  }

  /** Waits for a marker that the far end sends to itself behind everything else. */
  private awaitArrival({ farEnd }: MeshNode): void {
    const own = { port: farEnd.port, address: this.underlay.loopback };
    farEnd.stageUdp(0, Uint8Array.of(0), own);
    farEnd.sendUdp(1);
    for (let looks = 0; farEnd.takeUdp().length === 0; looks++) {
      if (looks === LOOKS_MAX) throw new Error('loopback has lost a marker');
      sleep(LOOK_MS);
    }
  }

  close(): void {
    for (const node of this.nodes) node.close();
    this.strangers.close();
  }
}

function identitiesOf(nodes: number, family: 4 | 6): Identity[] {
  return Array.from({ length: nodes }, (_, i) => identityOf(i + 1, family));
}

function peerOf({ name, subnet, address }: Identity, family: 4 | 6, mac: Mac): Peer {
  return { key: name, family, subnet, address, port: UNDERLAY_PORT, mac };
}

/** All strangers share a socket, which has one name at a time. */
function isStrangers({ source }: Flight): boolean {
  return source !== undefined;
}

function podOf({ identity }: MeshNode): string {
  return `pod${identity.number}`;
}

function listOf<K, T>(lists: Map<K, T[]>, key: K): T[] {
  return getOrMake(lists, key, () => []);
}

/** Cuts a list into runs that the sockets between node and far end hold; what must be alone is. */
function batchesOf<T>(
  items: readonly T[],
  bytesOf: (item: T) => Uint8Array,
  isAlone: (item: T) => boolean = () => false,
): T[][] {
  const batches: T[][] = [];
  let bytes = 0;
  let mayGrow = false;
  for (const item of items) {
    bytes += bytesOf(item).length;
    const batch = batches.at(-1);
    const fits = batch && batch.length < BATCH_PACKETS && bytes <= BATCH_BYTES;
    if (fits && mayGrow && !isAlone(item)) batch.push(item);
    else {
      batches.push([item]);
      bytes = bytesOf(item).length;
      mayGrow = !isAlone(item);
    }
  }
  return batches;
}

/** Of the whole thread: nothing else may run meanwhile. */
function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
