/**
 * Underlay → TUN: admission. For each message of a batch its sender; for each datagram in it encapsulation header, gate, inner
 * destination, inner source, TTL, congestion mark. What passes is queued for the TUN as it lies in the pool. Code order is packet order.
 */
import type { Addon } from '../memory/addon.ts';
import { SIDE } from '../memory/capture.ts';
import { BATCHES_IN_AT, batchBucket, COUNTER } from '../memory/counters.ts';
import { DROP } from '../memory/drops.ts';
import { LAYOUT, ROW } from '../memory/layout.ts';
import { PEER_COUNTER, PEER_COUNTERS_SHIFT } from '../memory/peer-counters.ts';
import { type LinkTask, type SourceCheck, WORD } from '../memory/worker-task.ts';
import { knowsEcn, markCongestion, mustDrop, mustMark } from '../wire/ecn.ts';
import { TIME_EXCEEDED } from '../wire/icmp.ts';
import { hasOddSource, IpHeader, lowerTtl, parseIp } from '../wire/ip.ts';
import type { BulkFlows } from './bulk-flows.ts';
import type { Capture } from './capture.ts';
import { add, type Drops, FORWARD } from './drop.ts';
import type { Encap } from './encap/encap.ts';
import type { Gear } from './gear.ts';
import type { IcmpReply } from './icmp-reply.ts';
import type { LocalAddresses } from './local-addresses.ts';
import { OffloadState } from './offload-state.ts';
import { isOwnEcho } from './own-echo.ts';
import type { Pool } from './pool.ts';
import { prefixContainsWords } from './routes/prefix.ts';
import type { RouteTable } from './routes/table.ts';
import { StandingQueue } from './standing-queue.ts';
import type { TunOut } from './tun-out.ts';

export class Inbound {
  private readonly addon: Addon;
  private readonly engine: number;
  private readonly linkIndex: number;
  private readonly link: LinkTask;
  private readonly pool: Pool;
  private readonly table: RouteTable;
  private readonly localAddresses: LocalAddresses;
  private readonly encap: Encap;
  private readonly icmp: IcmpReply;
  private readonly tunOut: TunOut;
  private readonly offload: OffloadState;
  private readonly capture: Capture;
  private readonly control: Int32Array;
  private readonly counters: Float64Array;
  private readonly peerCounters: Float64Array;
  private readonly drops: Drops;
  private readonly bulkFlows: BulkFlows;
  private readonly checksSender: boolean;
  private readonly checksLease: boolean;
  private readonly header = new IpHeader();
  /** where a receive of this link ends */
  batchBytes: number = LAYOUT.batchBytes;
  private readonly queue: StandingQueue | undefined;
  /** packets of the batch in hand */
  private packets = 0;
  private messageBytes = 0;
  /** packets of the last batch for which somebody may wait; counted where bulk flows have a queue of their own */
  waiters = 0;
  /** what the encapsulation said of the message in hand: the peer that sent it, or -1 - DROP reason */
  private peer = -1;

  constructor(
    gear: Gear,
    linkIndex: number,
    link: LinkTask,
    sourceCheck: SourceCheck,
    encap: Encap,
    icmp: IcmpReply,
    tunOut: TunOut,
    capture: Capture,
  ) {
    const { addon, engine, pool, table, localAddresses, control, counters, peerCounters, drops } =
      gear;
    this.addon = addon;
    this.engine = engine;
    this.linkIndex = linkIndex;
    this.link = link;
    this.pool = pool;
    this.table = table;
    this.localAddresses = localAddresses;
    this.encap = encap;
    this.icmp = icmp;
    this.tunOut = tunOut;
    this.offload = new OffloadState(pool.view, link, tunOut);
    this.capture = capture;
    this.control = control;
    this.counters = counters;
    this.peerCounters = peerCounters;
    this.drops = drops;
    this.bulkFlows = gear.bulkFlows;
    this.checksSender = sourceCheck !== 'off';
    this.checksLease = sourceCheck === 'lease';
    this.queue = StandingQueue.of(link, control);
  }

  /** One batch from the socket to the TUN. Returns the number of kernel messages read. */
  batch(): number {
    const count = this.addon.udpReceive(this.engine, this.linkIndex);
    if (count <= 0) {
      this.rest();
      return 0;
    }
    if (this.capture.refresh() !== SIDE.off) this.captureAll(count);
    this.packets = 0;
    this.messageBytes = 0;
    this.waiters = 0;
    this.bulkFlows.begin();
    for (let i = 0; i < count; i++) this.message(i * LAYOUT.rowInts);
    const { messageBytes } = this;
    this.queue?.read(count < LAYOUT.udpInRows && messageBytes < this.batchBytes, messageBytes);
    this.tunOut.flush();
    add(this.counters, BATCHES_IN_AT + batchBucket(this.packets), 1);
    return count;
  }

  /** A turn in which nothing waits in the socket. */
  rest(): void {
    this.waiters = 0;
    this.queue?.empty();
  }

  private captureAll(count: number): void {
    const rows = this.pool.udpIn;
    for (let i = 0; i < count; i++) {
      const row = i * LAYOUT.rowInts;
      const at = rows[row + ROW.offset] as number;
      const length = rows[row + ROW.length] as number;
      const stride = this.strideOf(row);
      for (let from = 0; from < length; from += stride)
        this.capture.received(row, at + from, Math.min(stride, length - from));
    }
  }

  /** One kernel message: one datagram, or several of equal size that UDP_GRO merged. */
  private message(row: number): void {
    const rows = this.pool.udpIn;
    const at = rows[row + ROW.offset] as number;
    const length = rows[row + ROW.length] as number;
    const reason = this.senderReason(row);
    const stride = this.strideOf(row);
    let from = 0;
    this.messageBytes += length;
    let taken = 0;
    let takenBytes = 0;
    do {
      const bytes = Math.min(stride, length - from);
      if (this.datagram(row, at + from, bytes, reason)) {
        taken++;
        takenBytes += this.header.totalBytes;
      }
      from += bytes;
    } while (from < length);
    if (taken > 0 && this.peer >= 0) this.countReceived(this.peer, taken, takenBytes);
  }

  private countReceived(peer: number, packets: number, bytes: number): void {
    const at = this.table.slotOf(peer) << PEER_COUNTERS_SHIFT;
    add(this.peerCounters, at + PEER_COUNTER.receivedPackets, packets);
    add(this.peerCounters, at + PEER_COUNTER.receivedBytes, bytes);
    this.peerCounters[at + PEER_COUNTER.lastHeardMs] = (this.control[WORD.clockMs] as number) | 1;
  }

  /** Bytes of each datagram of a message but the last, which may be shorter. */
  private strideOf(row: number): number {
    const rows = this.pool.udpIn;
    const length = rows[row + ROW.length] as number;
    const stride = rows[row + ROW.gsoSize] as number;
    const isOne = stride === 0 || stride > length;
    return isOne || this.isSuperPacket(rows[row + ROW.offset] as number, length, stride)
      ? length
      : stride;
  }

  /** FORWARD, or why nothing of this sender is taken. */
  private senderReason(row: number): number {
    const { view, udpIn: rows } = this.pool;
    this.peer = this.encap.sender(view, rows, row);
    if (rows[row + ROW.result] !== 0) return DROP.inTruncated;
    return this.checksSender && this.peer < 0 ? -1 - this.peer : FORWARD;
  }

  /**
   * A kernel peer on a virtual link may send one inner UDP super-packet in one datagram; the kernel then reports the inner
   * segment size. The inner length tells the two apart: it spans the whole message.
   */
  private isSuperPacket(at: number, length: number, stride: number): boolean {
    const innerBytes = length - this.encap.headerBytes - this.encap.tailBytes;
    const innerAt = at + this.encap.headerBytes;
    if (stride === length || innerBytes < 40) return false;
    const view = this.pool.view;
    return view.getUint8(innerAt) >>> 4 === 4
      ? view.getUint16(innerAt + 2) === innerBytes
      : view.getUint16(innerAt + 4) + 40 === innerBytes;
  }

  /** Whether the packet was queued for the TUN. */
  private datagram(row: number, at: number, length: number, senderReason: number): boolean {
    this.packets++;
    add(this.counters, COUNTER.inPackets, 1);
    add(this.counters, COUNTER.inBytes, length);
    const reason = senderReason === FORWARD ? this.decide(row, at, length) : senderReason;
    if (reason === FORWARD) return true;
    const { headerBytes } = this.encap;
    this.drops.countWithFarEnd(reason, at, length, headerBytes, this.pool.udpIn, row);
    return false;
  }

  /** FORWARD with the packet queued for the TUN, or the drop reason. */
  private decide(row: number, at: number, length: number): number {
    const view = this.pool.view;
    const header = this.header;
    const verdict = this.encap.pull(view, at, length, this.peer);
    if (verdict < 0) return -1 - verdict;
    const { headerBytes, tailBytes } = this.encap;
    const innerAt = at + headerBytes;
    if (!parseIp(view, innerAt, length - headerBytes - tailBytes, header)) return DROP.inMalformed;
    if (this.checksSender && !this.isForUs()) return DROP.inNotOurs;
    if (hasOddSource(header) || this.isFromUs() || (this.checksLease && !this.isFromSender())) {
      return DROP.inForeignSource;
    }
    if (this.encap.lowersTtl) {
      if (header.ttl <= 1) return this.ttlEnded(innerAt);
      lowerTtl(view, innerAt, header);
    }
    const outerTos = this.pool.udpIn[row + ROW.tos] as number;
    if (mustDrop(outerTos, header.tos)) return DROP.inEcn;
    if (mustMark(outerTos, header.tos)) markCongestion(view, innerAt);
    if (this.queue?.wants(view, innerAt, header)) {
      const reason = this.slowDown(this.queue, innerAt);
      if (reason !== FORWARD) return reason;
    }
    this.queue?.meet(view, innerAt, header);
    if (this.tunOut.isSplit) this.turnTun(innerAt);
    return this.offload.queue(innerAt, header, this.pool.udpIn[row + ROW.gsoSize] as number);
  }

  /** A bulk flow has a queue of its own, and its other direction with it. */
  private turnTun(innerAt: number): void {
    const { header, bulkFlows } = this;
    const nowMs = this.control[WORD.clockMs] as number;
    this.tunOut.turnTo(bulkFlows.meet(this.pool.view, innerAt, header, nowMs));
    if (!isOwnEcho(header, this.link.deviceAddress)) this.waiters++;
  }

  /** Tells the sender of a bulk flow, as {@link Outbound} does. */
  private slowDown(queue: StandingQueue, at: number): number {
    const view = this.pool.view;
    const header = this.header;
    if (knowsEcn(header.tos)) {
      markCongestion(view, at);
      add(this.counters, COUNTER.congestionMarks, 1);
    } else if (header.totalBytes <= this.link.tunnelMtu) {
      queue.signed();
      return DROP.inStandingQueue;
    } else {
      if (!this.offload.cutLastSegment(at, header)) return FORWARD;
      add(this.counters, COUNTER.inPackets, 1);
      this.drops.countPart(DROP.inStandingQueue);
    }
    queue.signed();
    return FORWARD;
  }

  private isForUs(): boolean {
    const h = this.header;
    return prefixContainsWords(
      this.link.ownSubnet,
      h.destination0,
      h.destination1,
      h.destination2,
      h.destination3,
    );
  }

  /** What this host trusts as its own comes from nobody else: the kernel's martian check, for IPv6 too, whatever --source-check says. */
  private isFromUs(): boolean {
    const h = this.header;
    return this.localAddresses.has(h.source0, h.source1, h.source2, h.source3);
  }

  /** An inner source inside the overlay must lie in a subnet that the sender leases; outside sources pass. */
  private isFromSender(): boolean {
    const h = this.header;
    const peer =
      h.version === 4
        ? this.table.lookup4(h.source3)
        : this.table.lookup6(h.source0, h.source1, h.source2, h.source3);
    if (peer >= 0) return this.table.isOneNode(peer, this.peer);
    return !prefixContainsWords(this.link.network, h.source0, h.source1, h.source2, h.source3);
  }

  private ttlEnded(innerAt: number): number {
    this.icmp.send(TIME_EXCEEDED, innerAt, this.header);
    return DROP.inTtl;
  }
}
