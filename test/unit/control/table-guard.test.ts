/** Peers stay for a while when many leases disappear at once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Peer } from '../../../src/cluster/peers.ts';
import { GRACE_MS, SETTLE_MS, TableGuard } from '../../../src/control/membership/table-guard.ts';
import { prefix, words } from '../../support/rig.ts';

test('the guard keeps peers of a wiped store for a while, and removes single ones after a moment', () => {
  const peer = (key: string): Peer => ({
    key,
    family: 4,
    subnet: prefix('10.3.2.0/24'),
    address: words('192.0.2.2'),
    port: 8472,
    mac: { high: 0, low: 0 },
  });
  const all = ['a', 'b', 'c', 'd', 'e'].map(peer);
  const guard = new TableGuard();
  guard.apply(all, true, 0);
  const single = guard.apply(all.slice(1), true, 1);
  assert.deepEqual([single.peers.length, single.againAtMs], [5, 1 + SETTLE_MS]);
  assert.equal(guard.apply(all.slice(1), true, 1 + SETTLE_MS).peers.length, 4);
  assert.equal(guard.apply([], false, 10_000).held, 4);
  assert.equal(guard.apply(all.slice(1, 2), true, 10_001).peers.length, 4);
  assert.equal(guard.apply(all.slice(1, 2), true, 10_000 + GRACE_MS).peers.length, 1);
  const away = new TableGuard();
  away.apply(all, true, 0);
  away.apply(all.slice(1), true, 1);
  away.storeDoubtful(2);
  assert.equal(
    away.apply(all.slice(1), true, 10_000).peers.length,
    5,
    'removed just before the store went away',
  );
});
