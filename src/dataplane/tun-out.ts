/** The rows on their way to a link's TUN queues: filled packet by packet, written in batches. */
import type { Addon } from '../memory/addon.ts';
import { COUNTER } from '../memory/counters.ts';
import { DROP } from '../memory/drops.ts';
import { LAYOUT, ROW } from '../memory/layout.ts';
import { add, type Drops } from './drop.ts';
import type { Gear } from './gear.ts';

export class TunOut {
  private readonly addon: Addon;
  private readonly engine: number;
  private readonly main: number;
  private readonly bulk: number;
  /** of main and bulk the one for which rows are filled */
  private link: number;
  private readonly rows: Int32Array;
  private readonly counters: Float64Array;
  private readonly drops: Drops;
  private count = 0;
  private bytes = 0;

  /** `main` and `bulk` are links of the engine; the same one where bulk flows have none of their own. */
  constructor({ addon, engine, pool, counters, drops }: Gear, main: number, bulk: number) {
    this.addon = addon;
    this.engine = engine;
    this.main = this.link = main;
    this.bulk = bulk;
    this.rows = pool.tunOut;
    this.counters = counters;
    this.drops = drops;
  }

  /** Bulk flows have a queue of their own. */
  get isSplit(): boolean {
    return this.main !== this.bulk;
  }

  /** What is added from here on goes to this queue; writes what waits for the other one. */
  turnTo(isBulk: boolean): void {
    const link = isBulk ? this.bulk : this.main;
    if (link === this.link) return;
    this.flush();
    this.link = link;
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
