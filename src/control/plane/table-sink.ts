/** A table of peers that something forwards by: the workers' shared table, and those of shortcuts that keep one of their own. */
import type { PeerChange } from '../../cluster/peers.ts';

/** A change with the slot of the peer's counters. */
export interface TableChange extends PeerChange {
  slot: number;
}

export interface TableSink {
  /** Resolves when nobody uses any table but the newest that was published here. A user that is dead is not waited for. */
  settled(): Promise<void>;
  /**
   * The table is another one from now on in these peers. Called when {@link settled} has resolved, one call at a time. Resolves with the
   * number of this publication.
   */
  publish(changes: readonly TableChange[]): Promise<number>;
}
