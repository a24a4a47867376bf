/** Long work in slices. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inSlices } from '../../../src/shared/slices.ts';

test('all are worked on in order, and other work comes in between', async () => {
  const all = Array.from({ length: 1_201 }, (_, i) => i);
  const seen: number[] = [];
  const between: number[] = [];
  const timer = setImmediate(function look() {
    between.push(seen.length);
    if (seen.length < all.length) setImmediate(look);
  });
  await inSlices(all, (one) => seen.push(one));
  clearImmediate(timer);
  assert.deepEqual(seen, all);
  assert.ok(between.some((length) => length > 0 && length < all.length));
});

test('nothing to do is done', async () => {
  await inSlices([], () => assert.fail('called'));
});
