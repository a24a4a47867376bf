/** Changes of peers → all tables, in the order in which they were given. */
import type { PeerChange } from '../../cluster/peers.ts';
import type { TableChange, TableSink } from './table-sink.ts';

/** Gives each peer the slot of its counters. Called when nobody uses any table but the newest. */
export type WithSlots = (changes: readonly PeerChange[]) => readonly TableChange[];

export class Publication {
  private readonly table: TableSink;
  private readonly others: readonly TableSink[];
  private readonly withSlots: WithSlots;
  private queue: Promise<unknown> = Promise.resolve();

  /** `table` is the workers', `others` those of shortcuts. All are empty. */
  constructor(table: TableSink, others: readonly TableSink[], withSlots: WithSlots) {
    this.table = table;
    this.others = others;
    this.withSlots = withSlots;
  }

  /** Publishes tables with these changes. Resolves with the workers' generation. Calls are served in order. */
  publish(changes: readonly PeerChange[]): Promise<number> {
    const result = this.queue.then(() => this.write(changes));
    this.queue = result.catch(() => undefined);
    return result;
  }

  private async write(changes: readonly PeerChange[]): Promise<number> {
    await Promise.all([this.table, ...this.others].map((sink) => sink.settled()));
    const slotted = this.withSlots(changes);
    // Shortcuts first: who is gone must not get past the workers, and who is new is nobody's loss.
    for (const sink of this.others) await sink.publish(slotted);
    return this.table.publish(slotted);
  }
}
