/** The rows on their way to one TUN queue: filled packet by packet, written in batches. */
import type { Addon } from '../memory/addon.ts';
import { COUNTER } from '../memory/counters.ts';
import { DROP } from '../memory/drops.ts';
import { LAYOUT, ROW } from '../memory/layout.ts';
import { add, type Drops } from './drop.ts';
import type { Gear } from './gear.ts';

export class TunOut {
  private readonly addon: Addon;
  private readonly engine: number;
  private readonly link: number;
  private readonly rows: Int32Array;
  private readonly counters: Float64Array;
  private readonly drops: Drops;
  private count = 0;
  private bytes = 0;

  constructor({ addon, engine, pool, counters, drops }: Gear, link: number) {
    this.addon = addon;
    this.engine = engine;
    this.link = link;
    this.rows = pool.tunOut;
    this.counters = counters;
    this.drops = drops;
  }

  /** Queues a packet that lies in the pool until {@link flush}; writes the batch first when it is full. */
  add(
    at: number,
    length: number,
    gso: number,
    gsoSize: number,
    csumStart: number,
    csumOffset: number,
  ): void {
    if (this.count === LAYOUT.tunOutRows) this.flush();
    const rows = this.rows;
    const row = this.count * LAYOUT.rowInts;
    rows[row + ROW.offset] = at;
    rows[row + ROW.length] = length;
    rows[row + ROW.gso] = gso;
    rows[row + ROW.gsoSize] = gsoSize;
    rows[row + ROW.csumStart] = csumStart;
    rows[row + ROW.csumOffset] = csumOffset;
    rows[row + ROW.result] = 0;
    this.count++;
    this.bytes += length;
  }

  /** Writes what is queued and counts every row: delivered, or dropped because the device refused it. */
  flush(): void {
    const count = this.count;
    if (count === 0) return;
    const failed = this.addon.tunSend(this.engine, this.link, count);
    if (failed > 0) this.countRefused(count);
    add(this.counters, COUNTER.deliveredPackets, count - failed);
    add(this.counters, COUNTER.deliveredBytes, this.bytes);
    this.count = 0;
    this.bytes = 0;
  }

  private countRefused(count: number): void {
    for (let i = 0; i < count; i++) {
      const row = i * LAYOUT.rowInts;
      if (this.rows[row + ROW.result] === 0) continue;
      const length = this.rows[row + ROW.length] as number;
      this.bytes -= length;
      this.drops.count(DROP.inTunRefused, this.rows[row + ROW.offset] as number, length);
    }
  }
}
