/** Lists of which one may come before the last was worked off: what all of them changed is one piece of work. */

import type { Lease } from '../../cluster/lease/lease.ts';
import type { LeaseChanges } from '../../cluster/peer-book.ts';
import type { LeaseList } from '../../cluster/registry.ts';

export interface Waiting {
  newest: LeaseList;
  /** undefined: the newest list must be looked at whole */
  changes: LeaseChanges | undefined;
}

export class WaitingLists {
  private newest: LeaseList | undefined;
  private changes: Map<string, Lease | undefined> | undefined;
  /** a list from elsewhere was taken last: what the next one says of changes is not about that one */
  private isAstray = true;

  /** A list of the watch. */
  add(list: LeaseList): void {
    const isFirst = this.newest === undefined;
    this.newest = list;
    if (!list.changes || this.isAstray) this.changes = undefined;
    else if (isFirst) this.changes = new Map(list.changes);
    else for (const [key, lease] of list.changes) this.changes?.set(key, lease);
    this.isAstray = false;
  }

  /** A list that somebody asked for. */
  addOther(list: LeaseList): void {
    this.newest = list;
    this.changes = undefined;
    this.isAstray = true;
  }

  take(): Waiting | undefined {
    const { newest, changes } = this;
    this.newest = undefined;
    return newest && { newest, changes };
  }
}
