/** A table of peers that something forwards by: the workers' shared table, and those of shortcuts that keep one of their own. */
import type { Peer } from '../../cluster/peers.ts';

export interface TableSink {
  /** Resolves when nobody uses any table but the newest that was published here. A user that is dead is not waited for. */
  settled(): Promise<void>;
  /**
   * These peers are the whole table from now on; `slots` has each one's slot of counters. Called when {@link settled} has resolved,
   * one call at a time. Resolves with the number of this publication.
   */
  publish(peers: readonly Peer[], slots: readonly number[]): Promise<number>;
}
