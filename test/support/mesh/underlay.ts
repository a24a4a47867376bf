/**
 * The made-up underlay of a mesh: each node has an address of its own and all use one port, while their datagrams really travel between
 * loopback sockets. Rows are translated right in front of the native call that sends and right behind the one that receives, so that
 * workers see only the made-up addresses.
 */
import type { Addon, EngineViews } from '../../../src/memory/addon.ts';
import { LAYOUT, ROW } from '../../../src/memory/layout.ts';
import { formatAddress, type Words } from '../../../src/shared/address.ts';

export const UNDERLAY_PORT = 8472;
/** port and address of a row */
const FAR_END_WORDS = 5;

export class Underlay {
  /** where everything really happens */
  readonly loopback: Words;
  private readonly ports = new Map<string, number>();
  private readonly senders = new Map<number, Words>();

  constructor(loopback: Words) {
    this.loopback = loopback;
  }

  /** Datagrams to this address go to that loopback port. */
  bind(address: Words, port: number): void {
    this.ports.set(formatAddress(address), port);
  }

  /** Datagrams from that loopback port come from this address. */
  name(port: number, address: Words): void {
    this.senders.set(port, address);
  }

  /** Runs `send` while the rows lead to loopback ports. */
  translated(rows: Int32Array, count: number, send: () => number): number {
    const kept = rows.slice(0, count * LAYOUT.rowInts);
    for (let row = 0; row < kept.length; row += LAYOUT.rowInts) {
      if (rows[row + ROW.length] !== 0) this.leadToLoopback(rows, row);
    }
    const result = send();
    for (let row = 0; row < kept.length; row += LAYOUT.rowInts) {
      const farEnd = kept.subarray(row + ROW.port, row + ROW.port + FAR_END_WORDS);
      rows.set(farEnd, row + ROW.port);
    }
    return result;
  }

  private leadToLoopback(rows: Int32Array, row: number): void {
    const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = rows.subarray(row + ROW.address);
    const port = this.ports.get(formatAddress([w0, w1, w2, w3]));
    if (port === undefined) throw new Error(`nobody has ${formatAddress([w0, w1, w2, w3])}`);
    rows[row + ROW.port] = port;
    rows.set(this.loopback, row + ROW.address);
  }

  /** Gives received rows the addresses that their senders stand for. */
  nameSenders(rows: Int32Array, count: number): void {
    for (let row = 0; row < count * LAYOUT.rowInts; row += LAYOUT.rowInts) {
      const port = rows[row + ROW.port] as number;
      const address = this.senders.get(port);
      if (!address) throw new Error(`a datagram from outside the mesh, port ${port}`);
      rows[row + ROW.port] = UNDERLAY_PORT;
      rows.set(address, row + ROW.address);
    }
  }
}

/** The addon as one worker of the mesh uses it. It never sleeps, and the time is the mesh's. */
export function addonOn(underlay: Underlay, addon: Addon, clockMs: () => number): Addon {
  let made: EngineViews | undefined;
  const views = (): EngineViews => made as EngineViews;
  return {
    ...addon,
    createEngine: (given) => {
      made = given;
      return addon.createEngine(given);
    },
    wait: (engine) => {
      const ready = addon.wait(engine, 0);
      views().clock.set([clockMs(), 0]);
      return ready;
    },
    udpSend: (engine, link, count) =>
      underlay.translated(views().tunIn, count, () => addon.udpSend(engine, link, count)),
    udpReceive: (engine, link) => {
      const count = addon.udpReceive(engine, link);
      underlay.nameSenders(views().udpIn, count);
      return count;
    },
  };
}
