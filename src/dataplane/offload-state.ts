/**
 * What a packet from the underlay is to the TUN: its checksum complete or partial, one packet or a super-packet still to be cut.
 * Read off the packet itself, because kernel peers on virtual links send both (measured).
 */
import { DROP } from '../memory/drops.ts';
import { GSO, GSO_FLAG } from '../memory/layout.ts';
import type { LinkTask } from '../memory/worker-task.ts';
import { hasTransport, type IpHeader, PROTOCOL, pseudoHeaderSum } from '../wire/ip.ts';
import {
  cutLastSegment,
  TCP_CHECKSUM_AT,
  TCP_HEADER_BYTES_MIN,
  tcpHeaderBytes,
  UDP_CHECKSUM_AT,
  UDP_HEADER_BYTES,
} from '../wire/transport.ts';
import { FORWARD } from './drop.ts';
import type { TunOut } from './tun-out.ts';

export class OffloadState {
  private readonly view: DataView;
  private readonly link: LinkTask;
  private readonly tunOut: TunOut;

  /** `view` is the pool's. */
  constructor(view: DataView, link: LinkTask, tunOut: TunOut) {
    this.view = view;
    this.link = link;
    this.tunOut = tunOut;
  }

  /** FORWARD with the packet at `at` queued for the TUN, or the drop reason. `segmentBytes`: stride that the kernel reported, or 0. */
  queue(at: number, h: IpHeader, segmentBytes: number): number {
    const csumOffset = this.partialChecksumAt(at, h);
    if (h.totalBytes <= this.link.tunnelMtu) {
      const gso = csumOffset > 0 ? GSO_FLAG.needsCsum : 0;
      this.tunOut.add(at, h.totalBytes, gso, 0, csumOffset > 0 ? h.transport : 0, csumOffset);
      return FORWARD;
    }
    if (csumOffset === 0) return DROP.inOversized;
    return h.protocol === PROTOCOL.tcp
      ? this.queueTcpSuperPacket(at, h, csumOffset)
      : this.queueUdpSuperPacket(at, h, csumOffset, segmentBytes);
  }

  /** Takes the last segment off a TCP super-packet, see wire/transport.ts; false where it must stay whole. */
  cutLastSegment(at: number, h: IpHeader): boolean {
    if (h.protocol !== PROTOCOL.tcp || this.partialChecksumAt(at, h) === 0) return false;
    const segment = this.link.podMtu - h.transport - tcpHeaderBytes(this.view, at + h.transport);
    return cutLastSegment(this.view, at, h, segment) > 0;
  }

  /** Offset of the checksum field when it holds the bare pseudo-header sum, else 0. */
  private partialChecksumAt(at: number, h: IpHeader): number {
    if (h.isFragment) return 0;
    let offset = 0;
    if (h.protocol === PROTOCOL.tcp && hasTransport(h, TCP_HEADER_BYTES_MIN))
      offset = TCP_CHECKSUM_AT;
    else if (h.protocol === PROTOCOL.udp && hasTransport(h, UDP_HEADER_BYTES))
      offset = UDP_CHECKSUM_AT;
    if (offset === 0) return 0;
    const field = this.view.getUint16(at + h.transport + offset);
    return field === pseudoHeaderSum(h) ? offset : 0;
  }

  private queueTcpSuperPacket(at: number, h: IpHeader, csumOffset: number): number {
    const tcpBytes = tcpHeaderBytes(this.view, at + h.transport);
    const headers = h.transport + tcpBytes;
    const segment = this.link.podMtu - headers;
    if (tcpBytes < TCP_HEADER_BYTES_MIN || headers >= h.totalBytes || segment <= 0) {
      return DROP.inOversized;
    }
    const gso = (h.version === 4 ? GSO.tcp4 : GSO.tcp6) | GSO_FLAG.needsCsum;
    this.tunOut.add(at, h.totalBytes, gso, segment, h.transport, csumOffset);
    return FORWARD;
  }

  private queueUdpSuperPacket(
    at: number,
    h: IpHeader,
    csumOffset: number,
    segmentBytes: number,
  ): number {
    const headers = h.transport + UDP_HEADER_BYTES;
    if (segmentBytes === 0 || headers + segmentBytes > this.link.tunnelMtu) return DROP.inOversized;
    const gso = GSO.udpL4 | GSO_FLAG.needsCsum;
    this.tunOut.add(at, h.totalBytes, gso, segmentBytes, h.transport, csumOffset);
    return FORWARD;
  }
}
