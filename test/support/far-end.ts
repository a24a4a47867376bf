/**
 * What stands around a worker in a test: the other end of its TUN, which is a SEQPACKET socketpair, and a socket of the underlay. A
 * second engine feeds and drains both, so that real kernel calls move the packets. A further pair stands for the raw socket of its ICMP
 * errors. Everything is synchronous.
 */
import { readSync } from 'node:fs';
import { Pool, slotAt } from '../../src/dataplane/pool.ts';
import type { Addon } from '../../src/memory/addon.ts';
import { FEATURES_ALL, LAYOUT, ROW, STAT_NAMES } from '../../src/memory/layout.ts';
import { addressBytes, type Words } from '../../src/shared/address.ts';

/** Fields of the vnet header, as rows have them. */
export interface Offload {
  gso: number;
  gsoSize: number;
  csumStart: number;
  csumOffset: number;
}

export interface TunPacket extends Offload {
  packet: Uint8Array;
}

export interface Datagram {
  payload: Uint8Array;
  tos: number;
  /** where it came from */
  port: number;
  address: Words;
}

export interface Destination {
  port: number;
  address: Words;
}

/** A bound loopback socket that takes merged datagrams. */
export function openLoopback(
  addon: Addon,
  family: 4 | 6,
  address: Words,
): { fd: number; port: number } {
  return addon.openUdp({
    family,
    address: addressBytes(address),
    port: 0,
    reusePort: false,
    gro: true,
    dontFragment: false,
    bufferBytes: 4 << 20,
  });
}

export class FarEnd {
  readonly addon: Addon;
  readonly pool = new Pool();
  readonly engine: number;
  /** the worker's TUN queue */
  readonly tunFd: number;
  /** the worker's socket for ICMP errors */
  readonly icmpFd: number;
  private readonly icmpFar: number;
  /** of the socket */
  readonly port: number;
  private readonly stats = new Float64Array(LAYOUT.statCount);
  private readonly fds: number[];

  /** `address`: a loopback address of the family, for the socket. */
  constructor(addon: Addon, family: 4 | 6, address: Words) {
    this.addon = addon;
    const [tunFd, tunFar] = addon.openPair();
    const [icmpFd, icmpFar] = addon.openPair();
    const socket = openLoopback(addon, family, address);
    this.tunFd = tunFd;
    this.icmpFd = icmpFd;
    this.icmpFar = icmpFar;
    this.port = socket.port;
    this.fds = [tunFd, tunFar, icmpFd, icmpFar, socket.fd];
    this.engine = addon.createEngine({
      pool: this.pool.bytes,
      tunIn: this.pool.tunIn,
      udpIn: this.pool.udpIn,
      tunOut: this.pool.tunOut,
      stats: this.stats,
      clock: new Int32Array(2),
      wakeFd: -1,
    });
    addon.attachLink(this.engine, {
      family,
      tunFd: tunFar,
      udpFd: socket.fd,
      sendFds: Int32Array.of(socket.fd),
      tapFd: -1,
      features: FEATURES_ALL,
    });
  }

  /** Fills one row of the TUN batch. */
  stageTun(index: number, packet: Uint8Array, offload: Partial<Offload> = {}): void {
    const at = slotAt(index);
    this.pool.bytes.set(packet, at);
    const row = index * LAYOUT.rowInts;
    const rows = this.pool.tunOut;
    rows[row + ROW.offset] = at;
    rows[row + ROW.length] = packet.length;
    rows[row + ROW.gso] = offload.gso ?? 0;
    rows[row + ROW.gsoSize] = offload.gsoSize ?? 0;
    rows[row + ROW.csumStart] = offload.csumStart ?? 0;
    rows[row + ROW.csumOffset] = offload.csumOffset ?? 0;
  }

  /** Writes the batch to the TUN; merges what may be merged, as every TUN write. Returns the number of failed rows. */
  sendTun(count: number): number {
    return this.addon.tunSend(this.engine, 0, count);
  }

  /** Fills one row of the UDP batch. Neighbours with the same far end, size, TOS and `group` leave as one message. */
  stageUdp(index: number, payload: Uint8Array, to: Destination, tos = 0, group = 0): void {
    const at = slotAt(index);
    this.pool.bytes.set(payload, at);
    const row = index * LAYOUT.rowInts;
    const rows = this.pool.tunIn;
    rows.fill(0, row, row + LAYOUT.rowInts);
    rows[row + ROW.offset] = at;
    rows[row + ROW.length] = payload.length;
    rows[row + ROW.peer] = group;
    rows[row + ROW.tos] = tos;
    rows[row + ROW.port] = to.port;
    rows.set(to.address, row + ROW.address);
  }

  /** Sends the batch; returns the number of failed rows. */
  sendUdp(count: number): number {
    return this.addon.udpSend(this.engine, 0, count);
  }

  /** Datagrams of one batch that came to the socket, merged ones taken apart. */
  takeUdp(): Datagram[] {
    const count = this.addon.udpReceive(this.engine, 0);
    return Array.from({ length: Math.max(0, count) }, (_, i) => this.datagramsOf(i)).flat();
  }

  private datagramsOf(index: number): Datagram[] {
    const row = this.pool.udpIn.subarray(index * LAYOUT.rowInts, (index + 1) * LAYOUT.rowInts);
    const at = row[ROW.offset] as number;
    const length = row[ROW.length] as number;
    const stride = row[ROW.gsoSize] || length;
    const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = row.subarray(ROW.address, ROW.address + 4);
    const from = {
      tos: row[ROW.tos] as number,
      port: row[ROW.port] as number,
      address: [w0, w1, w2, w3] as const,
    };
    const datagrams: Datagram[] = [];
    for (let offset = 0; offset < length; offset += stride) {
      const end = Math.min(length, offset + stride);
      datagrams.push({ payload: this.pool.bytes.slice(at + offset, at + end), ...from });
    }
    return datagrams;
  }

  /** Packets of one batch that the worker wrote to its TUN. */
  takeTun(): TunPacket[] {
    const count = this.addon.tunReceive(this.engine, 0);
    return Array.from({ length: Math.max(0, count) }, (_, i) => {
      const column = (name: keyof typeof ROW): number =>
        this.pool.tunIn[i * LAYOUT.rowInts + ROW[name]] as number;
      const at = column('offset');
      return {
        packet: this.pool.bytes.slice(at, at + column('length')),
        gso: column('gso'),
        gsoSize: column('gsoSize'),
        csumStart: column('csumStart'),
        csumOffset: column('csumOffset'),
      };
    });
  }

  /** Packets that the worker sent as its host's own since the last call. */
  takeIcmp(): Uint8Array[] {
    const packets: Uint8Array[] = [];
    const buffer = new Uint8Array(2048);
    for (;;) {
      try {
        packets.push(buffer.slice(0, readSync(this.icmpFar, buffer)));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return packets;
        throw error;
      }
    }
  }

  /** What the far engine counted. */
  stat(name: (typeof STAT_NAMES)[number]): number {
    return this.stats[STAT_NAMES.indexOf(name)] as number;
  }

  close(): void {
    this.addon.destroyEngine(this.engine);
    for (const fd of this.fds) this.addon.close(fd);
  }
}
