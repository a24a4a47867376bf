/** Peers stay for a while when many leases disappear at once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Peer } from '../../../src/cluster/peers.ts';
import { GRACE_MS, SETTLE_MS, TableGuard } from '../../../src/control/membership/table-guard.ts';
import { changesBetween } from '../../support/peers-of.ts';
import { prefix, words } from '../../support/rig.ts';

const peer = (n: number, key = `node-${n}`, subnet = `10.3.${n}.0/24`): Peer => ({
  key,
  family: 4,
  subnet: prefix(subnet),
  address: words(`192.0.2.${n}`),
  port: 8472,
  mac: { high: 0, low: 0 },
});
const ALL = [1, 2, 3, 4, 5].map((n) => peer(n));

/** A guard that is told of whole lists, and the table that it makes. */
class Guarded {
  readonly guard = new TableGuard();
  held = 0;
  againAtMs: number | undefined;
  private present: readonly Peer[] = [];
  private readonly table = new Map<string, Peer>();

  apply(present: readonly Peer[], ownIsThere: boolean, nowMs: number): number {
    const changed = changesBetween(this.present, present).filter(
      ({ before, after }) => before !== after,
    );
    this.present = present;
    const { changes, held, againAtMs } = this.guard.apply(changed, ownIsThere, nowMs);
    for (const { id, before, after } of changes) {
      assert.equal(this.table.get(id), before, 'a change begins where the last one ended');
      if (after) this.table.set(id, after);
      else this.table.delete(id);
    }
    this.held = held;
    this.againAtMs = againAtMs;
    return this.table.size;
  }

  keys(): string[] {
    return [...this.table.values()].map(({ key }) => key).sort();
  }
}

test('the guard keeps peers of a wiped store for a while, and removes single ones after a moment', () => {
  const table = new Guarded();
  table.apply(ALL, true, 0);
  assert.equal(table.apply(ALL.slice(1), true, 1), 5);
  assert.equal(table.againAtMs, 1 + SETTLE_MS);
  assert.equal(table.apply(ALL.slice(1), true, 1 + SETTLE_MS), 4);
  assert.equal(table.againAtMs, undefined);
  table.apply([], false, 10_000);
  assert.equal(table.held, 4);
  assert.equal(table.apply(ALL.slice(1, 2), true, 10_001), 4);
  assert.equal(table.apply(ALL.slice(1, 2), true, 10_000 + GRACE_MS), 1);
});

test('what was removed just before the store went away stays as well', () => {
  const table = new Guarded();
  table.apply(ALL, true, 0);
  table.apply(ALL.slice(1), true, 1);
  table.guard.storeDoubtful(2);
  assert.equal(table.apply(ALL.slice(1), true, 10_000), 5);
});

test('peers that come back or change are in force at once, and held no more', () => {
  const table = new Guarded();
  table.apply(ALL, true, 0);
  table.apply([], true, 1);
  assert.equal(table.held, 5);
  const moved = { ...peer(1), address: words('192.0.2.99') };
  assert.equal(table.apply([moved, peer(2)], true, 2), 5);
  assert.equal(table.held, 3);
  assert.equal(table.apply([moved, peer(2)], true, 2 + GRACE_MS), 2);
});

test('a subnet that somebody else leases now is not held for its last owner', () => {
  const table = new Guarded();
  table.apply(ALL, true, 0);
  table.apply(ALL.slice(1), true, 1);
  const heir = peer(7, 'heir', '10.3.1.0/24');
  assert.equal(table.apply([...ALL.slice(1), heir], true, 2), 5);
  assert.equal(table.held, 0);
  assert.deepEqual(table.keys(), ['heir', 'node-2', 'node-3', 'node-4', 'node-5']);
  const parts = [peer(8, 'low', '10.3.2.0/25'), peer(9, 'high', '10.3.2.128/25')];
  table.apply([...ALL.slice(2), heir, ...parts], true, 3);
  assert.deepEqual(table.keys(), ['heir', 'high', 'low', 'node-3', 'node-4', 'node-5']);
});
