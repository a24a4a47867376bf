/**
 * Copies of packets for whoever captures them: inner ones as they come from the TUN or out of datagrams, before anything is decided;
 * outer ones as they are sent and received. Their IP and UDP headers are the kernel's business, so they are made here, without
 * checksums; a super-packet shows as one packet. Called only while a capture runs.
 */
import { SIDE } from '../memory/capture.ts';
import { LAYOUT, ROW } from '../memory/layout.ts';
import type { LinkTask } from '../memory/worker-task.ts';
import { IpHeader, PROTOCOL, parseIp } from '../wire/ip.ts';
import type { CaptureRing } from './capture-ring.ts';
import type { Encap } from './encap/encap.ts';
import type { Pool } from './pool.ts';
import type { RouteTable } from './routes/table.ts';

const UDP_BYTES = 8;
const TTL = 64;
/** What a 16-bit length field says of a packet that it can't describe, as with kernel GSO packets. */
const TOO_LONG = 0;

/** One link's packets. */
export class Capture {
  private readonly ring: CaptureRing;
  private readonly link: LinkTask;
  private readonly pool: Pool;
  private readonly table: RouteTable;
  private readonly encap: Encap;
  private readonly header = new IpHeader();
  private readonly outerBytes: number;

  constructor(ring: CaptureRing, link: LinkTask, pool: Pool, table: RouteTable, encap: Encap) {
    this.ring = ring;
    this.link = link;
    this.pool = pool;
    this.table = table;
    this.encap = encap;
    this.outerBytes = (link.family === 4 ? 20 : 40) + UDP_BYTES;
  }

  /** Once per batch: which SIDE is captured. */
  refresh(): number {
    return this.ring.refresh();
  }

  /** Inner packets of a batch from the TUN. */
  read(count: number): void {
    const { ring, pool, header } = this;
    for (let i = 0; i < count; i++) {
      const row = i * LAYOUT.rowInts;
      const at = pool.tunIn[row + ROW.offset] as number;
      const bytes = pool.tunIn[row + ROW.length] as number;
      const isIp = parseIp(pool.view, at, bytes, header);
      if (!ring.matchesAddress(isIp, header)) continue;
      if (ring.wantsPeer && !(isIp && ring.matchesPeer(this.slotOfDestination()))) continue;
      if (ring.open(bytes)) ring.close(pool.view, at);
    }
  }

  private slotOfDestination(): number {
    const { header: h, table } = this;
    const peer =
      h.version === 4
        ? table.lookup4(h.destination3)
        : table.lookup6(h.destination0, h.destination1, h.destination2, h.destination3);
    return peer < 0 ? -1 : table.slotOf(peer);
  }

  /** Datagrams of a batch that is ready to send. */
  sending(count: number): void {
    const { ring, pool, link } = this;
    const rows = pool.tunIn;
    for (let i = 0; i < count; i++) {
      const row = i * LAYOUT.rowInts;
      if (rows[row + ROW.length] === 0) continue;
      if (!ring.matchesPeer(this.table.slotOf(rows[row + ROW.peer] as number))) continue;
      const headerBytes = rows[row + ROW.headerBytes] as number;
      const innerAt = (rows[row + ROW.offset] as number) + headerBytes;
      const innerBytes = (rows[row + ROW.length] as number) - headerBytes;
      if (!this.hasAddress(innerAt, innerBytes)) continue;
      const bytes = innerBytes + this.encap.headerBytes;
      if (!ring.open(bytes + this.outerBytes)) continue;
      const port = link.sendPorts[rows[row + ROW.socket] as number] as number;
      this.putIp(bytes, rows, row, true);
      this.putUdp(port, rows[row + ROW.port] as number, bytes);
      ring.close(pool.view, innerAt - this.encap.headerBytes);
    }
  }

  private hasAddress(at: number, bytes: number): boolean {
    const isIp = parseIp(this.pool.view, at, bytes, this.header);
    return this.ring.matchesAddress(isIp, this.header);
  }

  /** One received datagram, before it is looked at. */
  received(row: number, at: number, bytes: number): void {
    const { ring, pool, encap } = this;
    const rows = pool.udpIn;
    const peer = encap.sender(pool.view, rows, row);
    if (!ring.matchesPeer(peer < 0 ? -1 : this.table.slotOf(peer))) return;
    const innerAt = at + encap.headerBytes;
    const innerBytes = bytes - encap.headerBytes - encap.tailBytes;
    if (!this.hasAddress(innerAt, innerBytes)) return;
    if (ring.side === SIDE.inner) {
      if (encap.pull(pool.view, at, bytes, peer) < 0) return;
      if (ring.open(innerBytes)) ring.close(pool.view, innerAt);
      return;
    }
    if (!ring.open(bytes + this.outerBytes)) return;
    this.putIp(bytes, rows, row, false);
    this.putUdp(rows[row + ROW.port] as number, encap.port, bytes);
    ring.close(pool.view, at);
  }

  /** The outer IP header of a datagram to, or from, the far end in a row. */
  private putIp(bytes: number, rows: Int32Array, row: number, isSent: boolean): void {
    const { ring } = this;
    const tos = rows[row + ROW.tos] as number;
    if (this.link.family === 4) {
      ring.put((0x45 << 24) | (tos << 16) | lengthField(bytes + this.outerBytes));
      ring.put(0);
      ring.put((TTL << 24) | (PROTOCOL.udp << 16));
    } else {
      ring.put(0x60000000 | (tos << 20));
      ring.put((lengthField(bytes + UDP_BYTES) << 16) | (PROTOCOL.udp << 8) | TTL);
    }
    if (isSent) this.putOwn();
    this.putFarEnd(rows, row);
    if (!isSent) this.putOwn();
  }

  private putOwn(): void {
    const { family, underlayAddress } = this.link;
    for (let i = family === 4 ? 3 : 0; i < 4; i++) this.ring.put(underlayAddress[i] as number);
  }

  private putFarEnd(rows: Int32Array, row: number): void {
    for (let i = this.link.family === 4 ? 3 : 0; i < 4; i++)
      this.ring.put(rows[row + ROW.address + i] as number);
  }

  private putUdp(from: number, to: number, bytes: number): void {
    this.ring.put((from << 16) | to);
    this.ring.put(lengthField(bytes + UDP_BYTES) << 16);
  }
}

function lengthField(bytes: number): number {
  return bytes > 0xffff ? TOO_LONG : bytes;
}
