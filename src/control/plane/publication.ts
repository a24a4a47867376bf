/** Peers → all tables, in the order in which they were given. */
import type { Peer } from '../../cluster/peers.ts';
import { PEERS_MAX } from '../../shared/limits.ts';
import type { TableSink } from './table-sink.ts';

/** Gives each peer the slot of its counters. Called when nobody uses any table but the newest. */
export type SlotsOf = (peers: readonly Peer[]) => readonly number[];

export class Publication {
  private readonly table: TableSink;
  private readonly others: readonly TableSink[];
  private readonly slotsOf: SlotsOf;
  private queue: Promise<unknown> = Promise.resolve();

  /** `table` is the workers', `others` those of shortcuts. */
  constructor(table: TableSink, others: readonly TableSink[], slotsOf: SlotsOf) {
    this.table = table;
    this.others = others;
    this.slotsOf = slotsOf;
  }

  /** Publishes these peers as the whole table. Resolves with the workers' generation. Calls are served in order. */
  publish(peers: readonly Peer[]): Promise<number> {
    const result = this.queue.then(() => this.write(peers));
    this.queue = result.catch(() => undefined);
    return result;
  }

  private async write(peers: readonly Peer[]): Promise<number> {
    if (peers.length > PEERS_MAX) throw new RangeError(`table: more than ${PEERS_MAX} peers`);
    await Promise.all([this.table, ...this.others].map((sink) => sink.settled()));
    const slots = this.slotsOf(peers);
    const generation = await this.table.publish(peers, slots);
    for (const sink of this.others) await sink.publish(peers, slots);
    return generation;
  }
}
