/**
 * The outer headers of a super-packet that leaves unsegmented through the helper TAP: Ethernet to the TAP itself, IP and UDP from
 * this node to the peer, as the sending sockets would write them. The kernel fills both checksums per segment; the UDP field holds
 * the pseudo-header sum meanwhile (as for every partial checksum, include/linux/skbuff.h).
 */
import type { LinkTask } from '../../memory/worker-task.ts';
import { fold, sumWords } from '../../wire/checksum.ts';
import { ETHERTYPE } from '../../wire/vxlan.ts';

const ETHERNET_BYTES = 14;
const IP_BYTES = { 4: 20, 6: 40 } as const;
const UDP_BYTES = 8;
const UDP = 17;
/** The host forwards the packet once; on the wire it has the 64 that sockets send. */
const TTL = 65;
/** Of the whole outer packet: its length field has 16 bits. */
const OUTER_BYTES_MAX = 65_535;

export class OuterHeaders {
  /** Bytes written in front of the encapsulation header. */
  readonly headerBytes: number;
  private readonly link: LinkTask;
  private readonly ipBytes: number;
  private identification = 0;

  constructor(link: LinkTask) {
    this.link = link;
    this.ipBytes = IP_BYTES[link.family];
    this.headerBytes = ETHERNET_BYTES + this.ipBytes + UDP_BYTES;
  }

  /** Whether `bytes` (encapsulation header and inner packet) fit one outer packet. */
  fits(bytes: number): boolean {
    return bytes + this.ipBytes + UDP_BYTES <= OUTER_BYTES_MAX;
  }

  /**
   * Writes the headers in front of `at`, the encapsulation header's first byte. `endpoint` is where five words of the peer's
   * port and address lie in `rows`; `socket` is the sending socket whose port is the source.
   */
  push(
    view: DataView,
    at: number,
    bytes: number,
    socket: number,
    tos: number,
    rows: Int32Array,
    endpoint: number,
  ): void {
    const udpAt = at - UDP_BYTES;
    const ipAt = udpAt - this.ipBytes;
    const udpBytes = bytes + UDP_BYTES;
    this.pushEthernet(view, ipAt - ETHERNET_BYTES);
    if (this.link.family === 4)
      this.pushIp4(view, ipAt, udpBytes, tos, rows[endpoint + 4] as number);
    else this.pushIp6(view, ipAt, udpBytes, tos, rows, endpoint + 1);
    view.setUint16(udpAt, this.link.sendPorts[socket] as number);
    view.setUint16(udpAt + 2, rows[endpoint] as number);
    view.setUint16(udpAt + 4, udpBytes);
    const addresses = this.link.family === 4 ? ipAt + 12 : ipAt + 8;
    view.setUint16(udpAt + 6, fold(sumWords(view, addresses, udpAt) + udpBytes + UDP));
  }

  private pushEthernet(view: DataView, at: number): void {
    const { high, low } = this.link.tapMac;
    view.setInt32(at, high);
    view.setUint16(at + 4, low);
    view.setInt32(at + 6, high);
    view.setUint16(at + 10, low);
    view.setUint16(at + 12, this.link.family === 4 ? ETHERTYPE.ipv4 : ETHERTYPE.ipv6);
  }

  private pushIp4(view: DataView, at: number, udpBytes: number, tos: number, to: number): void {
    this.identification = (this.identification + 1) & 0xffff;
    view.setUint16(at, 0x4500 | tos);
    view.setUint16(at + 2, udpBytes + 20);
    view.setUint16(at + 4, this.identification);
    view.setUint16(at + 6, 0); // outer DF clear, as kernel VXLAN
    view.setUint16(at + 8, (TTL << 8) | UDP);
    view.setUint16(at + 10, 0);
    view.setInt32(at + 12, this.link.underlayAddress[3]);
    view.setInt32(at + 16, to);
    view.setUint16(at + 10, ~fold(sumWords(view, at, at + 20)) & 0xffff);
  }

  private pushIp6(
    view: DataView,
    at: number,
    udpBytes: number,
    tos: number,
    rows: Int32Array,
    to: number,
  ): void {
    const from = this.link.underlayAddress;
    view.setInt32(at, 0x60000000 | (tos << 20));
    view.setUint16(at + 4, udpBytes);
    view.setUint16(at + 6, (UDP << 8) | TTL);
    for (let i = 0; i < 4; i++) {
      view.setInt32(at + 8 + 4 * i, from[i] as number);
      view.setInt32(at + 24 + 4 * i, rows[to + i] as number);
    }
  }
}
