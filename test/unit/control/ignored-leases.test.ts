/** What is said of leases that are not peers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ignoredLeases } from '../../../src/control/membership/ignored-leases.ts';

test('one ignored lease is named with its reason; none is no line', () => {
  const kind = 'outside the network';
  assert.equal(ignoredLeases([], []), undefined);
  assert.deepEqual(ignoredLeases([], [{ key: 'k', kind, why: 'far away' }]), {
    text: '1 lease ignored: 1 outside the network',
    such: ['k: far away'],
  });
});

test('named are leases of as many kinds as possible', () => {
  const skipped = (['outside the network', 'without a public address'] as const).flatMap((kind) =>
    [1, 2, 3].map((n) => ({ key: `${n}`, kind, why: kind })),
  );
  assert.deepEqual(ignoredLeases(['x\n'], skipped)?.such, [
    'x\\n: not a lease',
    '1: outside the network',
    '1: without a public address',
  ]);
});
