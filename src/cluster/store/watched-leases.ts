/** What the snapshots of a store's watch say, as leases: a snapshot that tells its changes costs only these. */
import { leaseOf } from '../lease/acquire.ts';
import type { Lease } from '../lease/lease.ts';
import type { LeaseList } from '../registry.ts';
import type { Snapshot } from './store.ts';

export class WatchedLeases {
  private readonly leases = new Map<string, Lease>();
  private readonly junk = new Set<string>();
  private unreadable: readonly string[] = [];
  private broken: readonly string[] = [];
  /** since the last {@link take}; undefined: anything may differ */
  private changes: Map<string, Lease | undefined> | undefined;

  get(key: string): Lease | undefined {
    return this.leases.get(key);
  }

  all(): Lease[] {
    return [...this.leases.values()];
  }

  add({ leases, changes, broken = [] }: Snapshot): void {
    const isOther = changes ? this.change(changes) : this.replace(leases);
    if (!isOther && sameKeys(this.broken, broken)) return;
    this.broken = broken;
    this.unreadable = [...this.junk, ...broken];
  }

  /** Whether there is other junk than before. */
  private change(changes: NonNullable<Snapshot['changes']>): boolean {
    let isOther = false;
    for (const [key, stored] of changes) {
      const lease = stored && leaseOf(stored);
      this.changes?.set(key, lease);
      if (lease) this.leases.set(key, lease);
      else this.leases.delete(key);
      const isJunk = stored !== undefined && !lease;
      if (isJunk !== this.junk.has(key)) isOther = true;
      if (isJunk) this.junk.add(key);
      else this.junk.delete(key);
    }
    return isOther;
  }

  private replace(stored: Snapshot['leases']): boolean {
    const before = [...this.junk];
    this.changes = undefined;
    this.leases.clear();
    this.junk.clear();
    for (const each of stored) {
      const lease = leaseOf(each);
      if (lease) this.leases.set(each.key, lease);
      else this.junk.add(each.key);
    }
    return !sameKeys(before, [...this.junk]);
  }

  /** The list of now; the next one's changes begin here. */
  take(ownIsThere: boolean): LeaseList {
    const { leases, unreadable, changes } = this;
    this.changes = new Map();
    const list = {
      get leases() {
        return [...leases.values()];
      },
      unreadable,
      ownIsThere,
    };
    return changes ? Object.assign(list, { changes }) : list;
  }
}

function sameKeys(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((key, i) => key === b[i]);
}
