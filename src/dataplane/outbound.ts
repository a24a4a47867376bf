/**
 * TUN → underlay. For each packet of a batch: gate, destination, peer, TTL, encapsulation header in the headroom.
 * Then one native call cuts, packs and sends what is left. Code order is packet order.
 */
import type { Addon } from '../memory/addon.ts';
import { SIDE } from '../memory/capture.ts';
import { BATCHES_OUT_AT, batchBucket, COUNTER } from '../memory/counters.ts';
import { DROP } from '../memory/drops.ts';
import { GSO, LAYOUT, ROW } from '../memory/layout.ts';
import { PEER_COUNTER, PEER_COUNTERS_SHIFT } from '../memory/peer-counters.ts';
import { type LinkTask, WORD } from '../memory/worker-task.ts';
import { CE, knowsEcn, markCongestion, outerTos } from '../wire/ecn.ts';
import { TIME_EXCEEDED, UNREACHABLE } from '../wire/icmp.ts';
import {
  hasOddDestination,
  hasTransport,
  IpHeader,
  isSource,
  lowerTtl,
  PROTOCOL,
  parseIp,
  symmetricFlowHash,
} from '../wire/ip.ts';
import { cutLastSegment, destinationPort, isOneSegment } from '../wire/transport.ts';
import type { BulkFlows } from './bulk-flows.ts';
import type { Capture } from './capture.ts';
import { add, type Drops, FORWARD, reasonOfSend } from './drop.ts';
import type { Encap } from './encap/encap.ts';
import { OuterHeaders } from './encap/outer-headers.ts';
import type { Gear } from './gear.ts';
import type { IcmpReply } from './icmp-reply.ts';
import { isOwnEcho } from './own-echo.ts';
import type { Pool } from './pool.ts';
import { prefixContainsWords } from './routes/prefix.ts';
import type { RouteTable } from './routes/table.ts';
import { StandingQueue } from './standing-queue.ts';

export class Outbound {
  private readonly addon: Addon;
  private readonly engine: number;
  private readonly linkIndex: number;
  private readonly link: LinkTask;
  private readonly pool: Pool;
  private readonly table: RouteTable;
  private readonly encap: Encap;
  private readonly icmp: IcmpReply;
  private readonly capture: Capture;
  private readonly counters: Float64Array;
  private readonly peerCounters: Float64Array;
  private readonly drops: Drops;
  private readonly control: Int32Array;
  private readonly bulkFlows: BulkFlows;
  private readonly header = new IpHeader();
  /** where a receive of this link ends */
  batchBytes: number = LAYOUT.batchBytes;
  /** packets of the last batch for which somebody may wait; counted where bulk flows have a queue of their own */
  waiters = 0;
  private readonly socketCount: number;
  private readonly outer: OuterHeaders | undefined;
  private readonly queue: StandingQueue | undefined;

  constructor(
    { addon, engine, pool, table, control, counters, peerCounters, drops, bulkFlows }: Gear,
    linkIndex: number,
    link: LinkTask,
    encap: Encap,
    icmp: IcmpReply,
    capture: Capture,
  ) {
    this.addon = addon;
    this.engine = engine;
    this.linkIndex = linkIndex;
    this.link = link;
    this.pool = pool;
    this.table = table;
    this.encap = encap;
    this.icmp = icmp;
    this.capture = capture;
    this.counters = counters;
    this.peerCounters = peerCounters;
    this.drops = drops;
    this.control = control;
    this.bulkFlows = bulkFlows;
    this.socketCount = link.sendFds.length;
    this.outer = link.tapFd >= 0 ? new OuterHeaders(link) : undefined;
    this.queue = StandingQueue.of(link, control);
  }

  /** One batch from the TUN to the sockets. Returns the number of packets read. */
  batch(): number {
    const count = this.addon.tunReceive(this.engine, this.linkIndex);
    if (count <= 0) {
      this.rest();
      return 0;
    }
    const side = this.capture.refresh();
    if (side === SIDE.inner) this.capture.read(count);
    const rows = this.pool.tunIn;
    let kept = 0;
    let keptBytes = 0;
    let readBytes = 0;
    this.waiters = 0;
    // Packets to one peer come in runs: counted for it once a run.
    let peer = -1;
    let before = 0;
    let bytesBefore = 0;
    for (let i = 0; i < count; i++) {
      const row = i * LAYOUT.rowInts;
      const bytes = rows[row + ROW.length] as number;
      readBytes += bytes;
      const reason = this.decide(row);
      if (reason !== FORWARD) {
        this.drops.count(reason, rows[row + ROW.offset] as number, bytes);
        rows[row + ROW.length] = 0;
        continue;
      }
      if (rows[row + ROW.peer] !== peer) {
        if (kept > before) this.countSent(peer, kept - before, keptBytes - bytesBefore);
        peer = rows[row + ROW.peer] as number;
        before = kept;
        bytesBefore = keptBytes;
      }
      kept++;
      keptBytes += this.header.totalBytes;
    }
    if (kept > before) this.countSent(peer, kept - before, keptBytes - bytesBefore);
    this.queue?.read(count < LAYOUT.tunInRows && readBytes < this.batchBytes, readBytes);
    add(this.counters, COUNTER.outPackets, count);
    add(this.counters, COUNTER.outBytes, readBytes);
    add(this.counters, BATCHES_OUT_AT + batchBucket(count), 1);
    if (side === SIDE.outer) this.capture.sending(count);
    if (kept > 0) this.send(count, kept, keptBytes);
    return count;
  }

  /** A turn in which nothing waits in the TUN. */
  rest(): void {
    this.waiters = 0;
    this.queue?.empty();
  }

  /** FORWARD with the row ready to send, or the drop reason. */
  private decide(row: number): number {
    const { view, tunIn: rows } = this.pool;
    const header = this.header;
    const at = rows[row + ROW.offset] as number;
    if (!parseIp(view, at, rows[row + ROW.length] as number, header)) return DROP.outMalformed;
    if (header.version !== this.link.family) return DROP.outFamily;
    if (hasOddDestination(header)) return DROP.outMulticast;
    const peer = this.lookup();
    if (peer < 0) return this.withoutPeer(at);
    if (this.isOwnEncapsulation(at)) return DROP.outOverlayLoop;
    if (this.encap.lowersTtl) {
      if (header.ttl <= 1) {
        this.icmp.send(TIME_EXCEEDED, at, header);
        return DROP.outTtl;
      }
      lowerTtl(view, at, header);
    }
    if (this.queue?.wants(view, at, header)) {
      const reason = this.slowDown(this.queue, row, at);
      if (reason !== FORWARD) return reason;
    }
    this.queue?.meet(view, at, header);
    if (this.link.bulk) this.meetForBulk(at);
    this.encapsulate(row, at, peer);
    return FORWARD;
  }

  /** Bulk flows have a queue of their own: which are, and whether somebody else is there. */
  private meetForBulk(at: number): void {
    const { header } = this;
    this.bulkFlows.note(this.pool.view, at, header, this.control[WORD.clockMs] as number);
    if (!isOwnEcho(header, this.link.deviceAddress)) this.waiters++;
  }

  /** Tells the sender of a bulk flow: by a mark where it knows marks, else by the loss of one segment. Nothing else in hand is lost. */
  private slowDown(queue: StandingQueue, row: number, at: number): number {
    const { view, tunIn: rows } = this.pool;
    const header = this.header;
    if (knowsEcn(header.tos)) {
      markCongestion(view, at);
      header.tos |= CE;
      add(this.counters, COUNTER.congestionMarks, 1);
    } else if (((rows[row + ROW.gso] as number) & 0xff) === GSO.none) {
      queue.signed();
      return DROP.outStandingQueue;
    } else {
      const segmentBytes = rows[row + ROW.gsoSize] as number;
      if (cutLastSegment(view, at, header, segmentBytes) === 0) return FORWARD;
      // What is left may be a single packet, and must then be none that is to be cut.
      if (isOneSegment(view, at, header, segmentBytes))
        rows[row + ROW.gso] = (rows[row + ROW.gso] as number) & ~0xff;
      // As if the kernel had handed that segment over by itself.
      add(this.counters, COUNTER.outPackets, 1);
      this.drops.countPart(DROP.outStandingQueue);
    }
    queue.signed();
    return FORWARD;
  }

  private lookup(): number {
    const h = this.header;
    return h.version === 4
      ? this.table.lookup4(h.destination3)
      : this.table.lookup6(h.destination0, h.destination1, h.destination2, h.destination3);
  }

  private withoutPeer(at: number): number {
    const h = this.header;
    const isOwn = prefixContainsWords(
      this.link.ownSubnet,
      h.destination0,
      h.destination1,
      h.destination2,
      h.destination3,
    );
    this.icmp.send(UNREACHABLE, at, h);
    return isOwn ? DROP.outOwnSubnet : DROP.outNoRoute;
  }

  /** Our own datagram to the overlay's port, routed back into the overlay: it would be wrapped for ever. */
  private isOwnEncapsulation(at: number): boolean {
    const h = this.header;
    if (h.protocol !== PROTOCOL.udp || !hasTransport(h, 4)) return false;
    if (destinationPort(this.pool.view, at + h.transport) !== this.encap.port) return false;
    return isSource(h, this.link.underlayAddress) || isSource(h, this.link.deviceAddress);
  }

  private encapsulate(row: number, at: number, peer: number): void {
    const { view, tunIn: rows } = this.pool;
    const header = this.header;
    const headerBytes = this.encap.headerBytes;
    this.encap.push(view, at, header.version, peer);
    rows[row + ROW.offset] = at - headerBytes;
    rows[row + ROW.length] = header.totalBytes + headerBytes;
    rows[row + ROW.headerBytes] = headerBytes;
    rows[row + ROW.peer] = peer;
    rows[row + ROW.socket] = symmetricFlowHash(view, at, header) % this.socketCount;
    rows[row + ROW.tos] = outerTos(header.tos);
    this.table.copyEndpoint(peer, rows, row + ROW.port);
    if (
      this.outer &&
      ((rows[row + ROW.gso] as number) & 0xff) !== 0 &&
      this.table.hasTunnelGso(peer)
    )
      this.addOuterHeaders(this.outer, row);
  }

  /** Counted before it is sent: what fails is taken back. */
  private countSent(peer: number, packets: number, bytes: number): void {
    const at = this.table.slotOf(peer) << PEER_COUNTERS_SHIFT;
    add(this.peerCounters, at + PEER_COUNTER.sentPackets, packets);
    add(this.peerCounters, at + PEER_COUNTER.sentBytes, bytes);
  }

  /** A super-packet to a peer behind a device with tunnel offload leaves whole, if its length fits the outer header. */
  private addOuterHeaders(outer: OuterHeaders, row: number): void {
    const { view, tunIn: rows } = this.pool;
    const at = rows[row + ROW.offset] as number;
    const bytes = rows[row + ROW.length] as number;
    if (!outer.fits(bytes)) return;
    const socket = rows[row + ROW.socket] as number;
    outer.push(view, at, bytes, socket, rows[row + ROW.tos] as number, rows, row + ROW.port);
    rows[row + ROW.offset] = at - outer.headerBytes;
    rows[row + ROW.length] = bytes + outer.headerBytes;
    rows[row + ROW.headerBytes] = this.encap.headerBytes + outer.headerBytes;
    rows[row + ROW.gso] = (rows[row + ROW.gso] as number) | LAYOUT.rowGsoTunnel;
  }

  private send(count: number, kept: number, keptBytes: number): void {
    const failed = this.addon.udpSend(this.engine, this.linkIndex, count);
    let failedBytes = 0;
    if (failed > 0) failedBytes = this.countFailed(count);
    add(this.counters, COUNTER.sentPackets, kept - failed);
    add(this.counters, COUNTER.sentBytes, keptBytes - failedBytes);
  }

  private countFailed(count: number): number {
    const rows = this.pool.tunIn;
    let bytes = 0;
    for (let i = 0; i < count; i++) {
      const row = i * LAYOUT.rowInts;
      const result = rows[row + ROW.result] as number;
      if (rows[row + ROW.length] === 0 || result === 0) continue;
      const headerBytes = rows[row + ROW.headerBytes] as number;
      const inner = (rows[row + ROW.length] as number) - headerBytes;
      bytes += inner;
      this.countSent(rows[row + ROW.peer] as number, -1, -inner);
      const at = (rows[row + ROW.offset] as number) + headerBytes;
      this.drops.countWithFarEnd(reasonOfSend(result), at, inner, 0, rows, row);
    }
    return bytes;
  }
}
