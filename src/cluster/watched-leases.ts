/** What a registry's watch knows, as leases: news that tell their changes cost only these. */
import type { Lease } from './lease/lease.ts';
import type { LeaseList } from './registry.ts';

/** What there is under a key: undefined is nothing that is our business. */
export type Found = Lease | 'unreadable' | undefined;

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

  /** These are other ones now. `broken`: what can't be read besides, all of it. */
  change(news: Iterable<readonly [key: string, found: Found]>, broken: readonly string[]): void {
    let isOther = false;
    for (const [key, found] of news) {
      const isJunk = found === 'unreadable';
      const lease = isJunk ? undefined : found;
      this.changes?.set(key, lease);
      if (lease) this.leases.set(key, lease);
      else this.leases.delete(key);
      if (isJunk !== this.junk.has(key)) isOther = true;
      if (isJunk) this.junk.add(key);
      else this.junk.delete(key);
    }
    this.note(isOther, broken);
  }

  /** These are all. */
  replace(all: Iterable<readonly [key: string, found: Found]>, broken: readonly string[]): void {
    const before = [...this.junk];
    this.changes = undefined;
    this.leases.clear();
    this.junk.clear();
    for (const [key, found] of all) {
      if (found === 'unreadable') this.junk.add(key);
      else if (found) this.leases.set(key, found);
    }
    this.note(!sameKeys(before, [...this.junk]), broken);
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

  private note(isOtherJunk: boolean, broken: readonly string[]): void {
    if (!isOtherJunk && sameKeys(this.broken, broken)) return;
    this.broken = broken;
    this.unreadable = [...this.junk, ...broken];
  }
}

function sameKeys(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((key, i) => key === b[i]);
}
