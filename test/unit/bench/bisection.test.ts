/** The search for the highest rate that loses nothing, with made-up trials. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { highestPassing } from '../../../bench/net/works/bisection.ts';

const search = (passes: (value: number) => boolean, attempts = 1) =>
  highestPassing({ upper: 1000, precision: 0.01, attempts, passes: async (v) => passes(v) });

test('the highest passing value is found to the precision, from below', async () => {
  for (const limit of [3, 100, 617, 999]) {
    const { highest } = await search((value) => value <= limit);
    assert.ok(highest <= limit && highest > limit * 0.98, `${highest} for ${limit}`);
  }
});

test('the upper bound is enough where it passes, and nothing is found where nothing passes', async () => {
  assert.deepEqual(await search(() => true), { highest: 1000, limit: 1000, trials: 1 });
  const { highest, trials } = await search(() => false);
  assert.equal(highest, 0);
  assert.ok(trials < 20);
});

test('a value that fails is tried again as often as wanted', async () => {
  let calls = 0;
  const everySecond = (): boolean => ++calls % 2 === 0;
  assert.equal((await search(everySecond, 2)).highest, 1000);
  calls = 0;
  assert.ok((await search(everySecond)).highest < 1000);
});
