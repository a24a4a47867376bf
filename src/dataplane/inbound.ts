/**
 * Underlay → TUN. For each datagram of a batch: known sender, encapsulation header, gate, inner source, inner destination, TTL,
 * congestion mark, checksum state. What passes is queued for the TUN as it lies in the pool. Code order is packet order.
 */
import type { Addon } from '../shared/addon.ts';
import { COUNTER } from '../shared/counters.ts';
import { DROP } from '../shared/drops.ts';
import { GSO, GSO_FLAG, LAYOUT, ROW } from '../shared/layout.ts';
import type { LinkTask, SourceCheck } from '../shared/worker-task.ts';
import { add, countDrop } from './drop.ts';
import type { Encap } from './encap/encap.ts';
import type { IcmpReply } from './icmp-reply.ts';
import type { Pool } from './pool.ts';
import { prefixContainsWords } from './routes/prefix.ts';
import type { RouteTable } from './routes/table.ts';
import type { TunOut } from './tun-out.ts';
import { markCongestion, mustDrop, mustMark } from './wire/ecn.ts';
import { TIME_EXCEEDED } from './wire/icmp.ts';
import {
  hasOddSource,
  hasTransport,
  IpHeader,
  lowerTtl,
  PROTOCOL,
  parseIp,
  pseudoHeaderSum,
} from './wire/ip.ts';
import {
  TCP_CHECKSUM_AT,
  TCP_HEADER_BYTES_MIN,
  tcpHeaderBytes,
  UDP_CHECKSUM_AT,
  UDP_HEADER_BYTES,
} from './wire/transport.ts';

const FORWARD = -1;

export class Inbound {
  private readonly addon: Addon;
  private readonly engine: number;
  private readonly linkIndex: number;
  private readonly link: LinkTask;
  private readonly pool: Pool;
  private readonly table: RouteTable;
  private readonly encap: Encap;
  private readonly icmp: IcmpReply;
  private readonly tunOut: TunOut;
  private readonly counters: Float64Array;
  private readonly checksSender: boolean;
  private readonly checksLease: boolean;
  private readonly header = new IpHeader();
  /** outer sender of the row in hand */
  private sender0 = 0;
  private sender1 = 0;
  private sender2 = 0;
  private sender3 = 0;

  constructor(
    addon: Addon,
    engine: number,
    linkIndex: number,
    link: LinkTask,
    sourceCheck: SourceCheck,
    pool: Pool,
    table: RouteTable,
    encap: Encap,
    icmp: IcmpReply,
    tunOut: TunOut,
    counters: Float64Array,
  ) {
    this.addon = addon;
    this.engine = engine;
    this.linkIndex = linkIndex;
    this.link = link;
    this.pool = pool;
    this.table = table;
    this.encap = encap;
    this.icmp = icmp;
    this.tunOut = tunOut;
    this.counters = counters;
    this.checksSender = sourceCheck !== 'off';
    this.checksLease = sourceCheck === 'lease';
  }

  /** One batch from the socket to the TUN. Returns the number of kernel messages read. */
  batch(): number {
    const count = this.addon.udpReceive(this.engine, this.linkIndex);
    if (count <= 0) return 0;
    for (let i = 0; i < count; i++) this.message(i * LAYOUT.rowInts);
    this.tunOut.flush();
    return count;
  }

  /** One kernel message: one datagram, or several of equal size that UDP_GRO merged. */
  private message(row: number): void {
    const rows = this.pool.udpIn;
    const at = rows[row + ROW.offset] as number;
    const length = rows[row + ROW.length] as number;
    const reason = this.senderReason(row);
    let stride = rows[row + ROW.gsoSize] as number;
    if (stride === 0 || stride > length || this.isSuperPacket(at, length, stride)) stride = length;
    let from = 0;
    do {
      const bytes = Math.min(stride, length - from);
      this.datagram(row, at + from, bytes, reason);
      from += bytes;
    } while (from < length);
  }

  /** FORWARD, or why nothing of this sender is taken. */
  private senderReason(row: number): number {
    const rows = this.pool.udpIn;
    if (rows[row + ROW.result] !== 0) return DROP.inTruncated;
    this.sender0 = rows[row + ROW.address] as number;
    this.sender1 = rows[row + ROW.address + 1] as number;
    this.sender2 = rows[row + ROW.address + 2] as number;
    this.sender3 = rows[row + ROW.address + 3] as number;
    if (!this.checksSender) return FORWARD;
    if (this.isInNetwork(this.sender0, this.sender1, this.sender2, this.sender3)) {
      return DROP.inOverlayLoop;
    }
    const peer = this.table.findUnderlay(this.sender0, this.sender1, this.sender2, this.sender3);
    return peer < 0 ? DROP.inUnknownPeer : FORWARD;
  }

  /**
   * A kernel peer on a virtual link may send one inner UDP super-packet in one datagram; the kernel then reports the inner
   * segment size. The inner length tells the two apart: it spans the whole message.
   */
  private isSuperPacket(at: number, length: number, stride: number): boolean {
    const innerBytes = length - this.encap.headerBytes;
    const innerAt = at + this.encap.headerBytes;
    if (stride === length || innerBytes < 40) return false;
    const view = this.pool.view;
    return view.getUint8(innerAt) >>> 4 === 4
      ? view.getUint16(innerAt + 2) === innerBytes
      : view.getUint16(innerAt + 4) + 40 === innerBytes;
  }

  private datagram(row: number, at: number, length: number, senderReason: number): void {
    add(this.counters, COUNTER.inPackets, 1);
    add(this.counters, COUNTER.inBytes, length);
    const reason = senderReason === FORWARD ? this.decide(row, at, length) : senderReason;
    if (reason !== FORWARD) countDrop(this.counters, reason);
  }

  /** FORWARD with the packet queued for the TUN, or the drop reason. */
  private decide(row: number, at: number, length: number): number {
    const view = this.pool.view;
    const header = this.header;
    const verdict = this.encap.pull(view, at, length);
    if (verdict < 0) return -1 - verdict;
    const innerAt = at + this.encap.headerBytes;
    if (!parseIp(view, innerAt, length - this.encap.headerBytes, header)) return DROP.inMalformed;
    if (this.checksSender && !this.isForUs()) return DROP.inNotOurs;
    if (hasOddSource(header) || (this.checksLease && !this.isFromSender())) {
      return DROP.inForeignSource;
    }
    if (this.encap.lowersTtl) {
      if (header.ttl <= 1) return this.ttlEnded(innerAt);
      lowerTtl(view, innerAt, header);
    }
    const outerTos = this.pool.udpIn[row + ROW.tos] as number;
    if (mustDrop(outerTos, header.tos)) return DROP.inEcn;
    if (mustMark(outerTos, header.tos)) markCongestion(view, innerAt);
    return this.queue(innerAt, this.pool.udpIn[row + ROW.gsoSize] as number);
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

  private isInNetwork(w0: number, w1: number, w2: number, w3: number): boolean {
    return prefixContainsWords(this.link.network, w0, w1, w2, w3);
  }

  /** An inner source inside the overlay must lie in a subnet that the sender leases; outside sources pass. */
  private isFromSender(): boolean {
    const h = this.header;
    const peer =
      h.version === 4
        ? this.table.lookup4(h.source3)
        : this.table.lookup6(h.source0, h.source1, h.source2, h.source3);
    if (peer >= 0) {
      return this.table.isAtUnderlay(peer, this.sender0, this.sender1, this.sender2, this.sender3);
    }
    return !this.isInNetwork(h.source0, h.source1, h.source2, h.source3);
  }

  private ttlEnded(innerAt: number): number {
    this.tunOut.flush();
    this.icmp.send(TIME_EXCEEDED, innerAt, this.header);
    return DROP.inTtl;
  }

  /** Describes checksum and segmentation state to the TUN as the packet really is (measurements: kernel peers on virtual links). */
  private queue(at: number, segmentBytes: number): number {
    const h = this.header;
    const csumOffset = this.partialChecksumAt(at);
    if (h.totalBytes <= this.link.tunnelMtu) {
      const gso = csumOffset > 0 ? GSO_FLAG.needsCsum : 0;
      this.tunOut.add(at, h.totalBytes, gso, 0, csumOffset > 0 ? h.transport : 0, csumOffset);
      return FORWARD;
    }
    if (csumOffset === 0) return DROP.inOversized;
    return h.protocol === PROTOCOL.tcp
      ? this.queueTcpSuperPacket(at, csumOffset)
      : this.queueUdpSuperPacket(at, csumOffset, segmentBytes);
  }

  /** Offset of the checksum field when it holds the bare pseudo-header sum, else 0. */
  private partialChecksumAt(at: number): number {
    const h = this.header;
    if (h.isFragment) return 0;
    let offset = 0;
    if (h.protocol === PROTOCOL.tcp && hasTransport(h, TCP_HEADER_BYTES_MIN))
      offset = TCP_CHECKSUM_AT;
    else if (h.protocol === PROTOCOL.udp && hasTransport(h, UDP_HEADER_BYTES))
      offset = UDP_CHECKSUM_AT;
    if (offset === 0) return 0;
    const field = this.pool.view.getUint16(at + h.transport + offset);
    return field === pseudoHeaderSum(h) ? offset : 0;
  }

  private queueTcpSuperPacket(at: number, csumOffset: number): number {
    const h = this.header;
    const tcpBytes = tcpHeaderBytes(this.pool.view, at + h.transport);
    const headers = h.transport + tcpBytes;
    const segment = this.link.podMtu - headers;
    if (tcpBytes < TCP_HEADER_BYTES_MIN || headers >= h.totalBytes || segment <= 0) {
      return DROP.inOversized;
    }
    const gso = (h.version === 4 ? GSO.tcp4 : GSO.tcp6) | GSO_FLAG.needsCsum;
    this.tunOut.add(at, h.totalBytes, gso, segment, h.transport, csumOffset);
    return FORWARD;
  }

  private queueUdpSuperPacket(at: number, csumOffset: number, segmentBytes: number): number {
    const h = this.header;
    const headers = h.transport + UDP_HEADER_BYTES;
    if (segmentBytes === 0 || headers + segmentBytes > this.link.tunnelMtu) return DROP.inOversized;
    const gso = GSO.udpL4 | GSO_FLAG.needsCsum;
    this.tunOut.add(at, h.totalBytes, gso, segmentBytes, h.transport, csumOffset);
    return FORWARD;
  }
}
