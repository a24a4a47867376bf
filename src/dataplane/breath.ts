/** One bounded turn of a worker: wait, outbound batch, inbound batch, for each link; then heartbeat and table. */
import type { Addon } from '../memory/addon.ts';
import { COUNTER } from '../memory/counters.ts';
import { LAYOUT } from '../memory/layout.ts';
import { WORD } from '../memory/worker-task.ts';
import { WAIT_MS_MAX } from '../shared/limits.ts';
import { add } from './drop.ts';
import type { Gear } from './gear.ts';
import type { Inbound } from './inbound.ts';
import type { LocalAddresses } from './local-addresses.ts';
import type { Outbound } from './outbound.ts';
import type { RouteTable } from './routes/table.ts';

/** For so long after a packet of somebody else bulk flows have small batches. */
const SHARED_MS = 100;
const SHARED_BATCH_BYTES = LAYOUT.batchBytes / 2;

/** Both directions of one address family, or of its bulk flows. */
export interface Lane {
  /** of its link in the engine */
  index: number;
  isBulk: boolean;
  outbound: Outbound;
  inbound: Inbound;
}

export class Breath {
  private readonly addon: Addon;
  private readonly engine: number;
  private readonly lanes: readonly Lane[];
  private readonly table: RouteTable;
  private readonly localAddresses: LocalAddresses;
  private readonly control: Int32Array;
  private readonly counters: Float64Array;
  /** somebody besides bulk flows had packets until then, by the worker's clock */
  private sharedUntilMs = 0;
  private isShared = false;

  constructor(
    { addon, engine, table, localAddresses, control, counters }: Gear,
    lanes: readonly Lane[],
  ) {
    this.addon = addon;
    this.engine = engine;
    this.lanes = lanes;
    this.table = table;
    this.localAddresses = localAddresses;
    this.control = control;
    this.counters = counters;
  }

  /** Sleeps at most WAIT_MS_MAX, then moves one batch per ready descriptor. */
  take(): void {
    const ready = this.addon.wait(this.engine, WAIT_MS_MAX);
    // The table may only change between batches: peer indices live as long as a batch.
    const generation = this.table.refresh();
    this.localAddresses.refresh();
    this.move(Math.max(0, ready));
    Atomics.store(this.control, WORD.seenGeneration, generation);
    Atomics.add(this.control, WORD.heartbeat, 1);
    add(this.counters, COUNTER.breaths, 1);
  }

  private move(ready: number): void {
    for (const lane of this.lanes) {
      const bits = ready >> (LAYOUT.waitLinkShift * lane.index);
      if ((bits & LAYOUT.waitTun) !== 0) lane.outbound.batch();
      else lane.outbound.rest();
      if ((bits & LAYOUT.waitUdp) !== 0) lane.inbound.batch();
      else lane.inbound.rest();
      if (!lane.isBulk && lane.outbound.waiters + lane.inbound.waiters > 0) this.share();
    }
    if (this.isShared && ((this.sharedUntilMs - this.clockMs) | 0) < 0) this.limitBulk(false);
  }

  private share(): void {
    this.sharedUntilMs = (this.clockMs + SHARED_MS) | 0;
    if (!this.isShared) this.limitBulk(true);
  }

  /** Who has a packet now and then waits for the batch in hand; among themselves bulk flows go faster with larger ones. */
  private limitBulk(isShared: boolean): void {
    this.isShared = isShared;
    const bytes = isShared ? SHARED_BATCH_BYTES : LAYOUT.batchBytes;
    for (const { index, isBulk, outbound, inbound } of this.lanes) {
      if (!isBulk) continue;
      this.addon.limitBatch(this.engine, index, bytes);
      outbound.batchBytes = inbound.batchBytes = bytes;
    }
  }

  private get clockMs(): number {
    return this.control[WORD.clockMs] as number;
  }
}
