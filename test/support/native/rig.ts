/**
 * One engine with sending sockets and a receiving socket on the loopback: what it sends to itself comes back as datagrams.
 */
import {
  type Addon,
  type EngineViews,
  type LinkPorts,
  loadAddon,
  type UdpOptions,
} from '../../../src/memory/addon.ts';
import { FEATURE, FEATURES_ALL, LAYOUT, ROW, STAT_NAMES } from '../../../src/memory/layout.ts';

export const LOOPBACK = {
  4: Uint8Array.of(127, 0, 0, 1),
  6: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1),
} as const;
const LOOPBACK_WORDS = { 4: [0, 0, 0xffff, 0x7f000001], 6: [0, 0, 0, 1] } as const;

/** Views of engines that have ended: fresh pools cost more than most tests do with them. */
const unused: EngineViews[] = [];

/** Views as new but for the pool, which holds what the rig before left there. */
export function takeViews(): EngineViews {
  const views = unused.pop() ?? makeViews();
  for (const view of [views.tunIn, views.udpIn, views.tunOut, views.stats, views.clock])
    view.fill(0);
  return views;
}

/** Nobody uses them any more. */
export function giveBackViews(views: EngineViews): void {
  unused.push(views);
}

export function makeViews(wakeFd = -1): EngineViews {
  const shared = (bytes: number) => new SharedArrayBuffer(bytes);
  return {
    pool: new Uint8Array(shared(LAYOUT.poolSlots * LAYOUT.slotStride)),
    tunIn: new Int32Array(shared(LAYOUT.tunInRows * LAYOUT.rowInts * 4)),
    udpIn: new Int32Array(shared(LAYOUT.udpInRows * LAYOUT.rowInts * 4)),
    tunOut: new Int32Array(shared(LAYOUT.tunOutRows * LAYOUT.rowInts * 4)),
    stats: new Float64Array(shared(LAYOUT.statCount * 8)),
    clock: new Int32Array(shared(8)),
    wakeFd,
  };
}

export function udpOptions(family: 4 | 6, change: Partial<UdpOptions> = {}): UdpOptions {
  return {
    family,
    address: LOOPBACK[family],
    port: 0,
    reusePort: false,
    gro: false,
    dontFragment: false,
    bufferBytes: 4 << 20,
    ...change,
  };
}

/** A row of tunIn; `bytes` is the whole datagram: encapsulation header, then the inner packet. */
export interface RowInput {
  bytes: Uint8Array;
  headerBytes?: number;
  gso?: number;
  gsoSize?: number;
  csumStart?: number;
  csumOffset?: number;
  peer?: number;
  socket?: number;
  tos?: number;
  port?: number;
}

export interface Datagram {
  bytes: Buffer;
  tos: number;
  port: number;
  address: number[];
}

export interface Rig {
  addon: Addon;
  views: EngineViews;
  engine: number;
  link: number;
  port: number;
  sendPorts: number[];
  gro: boolean;
  setRow(index: number, input: RowInput): void;
  /** Fills rows 0.. and sends them; the number of failed rows. */
  send(inputs: RowInput[]): number;
  result(row: number): number;
  /** All datagrams waiting, merged ones split again. Fails the wait after 200 ms without any. */
  receive(expected: number): Datagram[];
  stat(name: (typeof STAT_NAMES)[number]): number;
  end(): void;
}

function splitRow(views: EngineViews, index: number): Datagram[] {
  const row = views.udpIn.subarray(index * LAYOUT.rowInts, (index + 1) * LAYOUT.rowInts);
  const offset = row[ROW.offset] as number;
  const length = row[ROW.length] as number;
  const stride = row[ROW.gsoSize] || length;
  const datagrams: Datagram[] = [];
  for (let at = 0; at < length; at += stride) {
    const end = Math.min(at + stride, length);
    datagrams.push({
      bytes: Buffer.from(views.pool.slice(offset + at, offset + end)),
      tos: row[ROW.tos] as number,
      port: row[ROW.port] as number,
      address: Array.from(row.subarray(ROW.address, ROW.address + 4), (word) => word >>> 0),
    });
  }
  return datagrams;
}

export function makeRig(
  options: {
    family?: 4 | 6;
    features?: number;
    gro?: boolean;
    sockets?: number;
    tapFd?: number;
  } = {},
): Rig {
  const { family = 4, features = FEATURES_ALL, gro = true, sockets = 2, tapFd = -1 } = options;
  const addon = loadAddon();
  const views = takeViews();
  const engine = addon.createEngine(views);
  const receiver = addon.openUdp(udpOptions(family, { gro }));
  const senders = Array.from({ length: sockets }, () => addon.openUdp(udpOptions(family)));
  const pair = addon.openPair();
  const ports: LinkPorts = {
    family,
    tunFd: pair[0],
    udpFd: receiver.fd,
    sendFds: Int32Array.from(senders, (sender) => sender.fd),
    tapFd,
    features: gro ? features : features & ~FEATURE.udpGro,
  };
  const link = addon.attachLink(engine, ports);
  const rig: Rig = {
    addon,
    views,
    engine,
    link,
    port: receiver.port,
    sendPorts: senders.map((sender) => sender.port),
    gro: receiver.gro,
    setRow(index, input) {
      const offset = index * LAYOUT.slotStride + LAYOUT.slotHeadroom - (input.headerBytes ?? 0);
      views.pool.set(input.bytes, offset);
      const row = views.tunIn.subarray(index * LAYOUT.rowInts, (index + 1) * LAYOUT.rowInts);
      row.fill(0);
      row[ROW.offset] = offset;
      row[ROW.length] = input.bytes.length;
      row[ROW.gso] = input.gso ?? 0;
      row[ROW.gsoSize] = input.gsoSize ?? 0;
      row[ROW.csumStart] = input.csumStart ?? 0;
      row[ROW.csumOffset] = input.csumOffset ?? 0;
      row[ROW.headerBytes] = input.headerBytes ?? 0;
      row[ROW.peer] = input.peer ?? 0;
      row[ROW.socket] = input.socket ?? 0;
      row[ROW.tos] = input.tos ?? 0;
      row[ROW.port] = input.port ?? receiver.port;
      row.set(LOOPBACK_WORDS[family], ROW.address);
    },
    send(inputs) {
      inputs.forEach((input, index) => {
        rig.setRow(index, input);
      });
      return addon.udpSend(engine, link, inputs.length);
    },
    result: (row) => views.tunIn[row * LAYOUT.rowInts + ROW.result] as number,
    receive(expected) {
      const datagrams: Datagram[] = [];
      while (datagrams.length < expected) {
        if ((addon.wait(engine, 200) & (LAYOUT.waitUdp << (LAYOUT.waitLinkShift * link))) === 0)
          break;
        const rows = addon.udpReceive(engine, link);
        if (rows < 0) throw new Error(`udpReceive: ${rows}`);
        for (let index = 0; index < rows; index++) datagrams.push(...splitRow(views, index));
      }
      return datagrams;
    },
    stat: (name) => views.stats[STAT_NAMES.indexOf(name)] as number,
    end() {
      addon.destroyEngine(engine);
      giveBackViews(views);
      for (const fd of [receiver.fd, ...senders.map((sender) => sender.fd), ...pair]) {
        addon.close(fd);
      }
    },
  };
  return rig;
}
