/** Every case of the micro benchmark returns what it must. */
import assert from 'node:assert/strict';
import { allCases } from '../../bench/micro/subjects/all.ts';
import { loadAddon } from '../../src/memory/addon.ts';
import { needs } from '../support/needs.ts';

const { test } = needs();

test('cases of the micro benchmark return what they must, twice', () => {
  const usual = loadAddon().checksumName();
  for (const item of allCases()) {
    const work = item.open();
    try {
      assert.equal(work.run(), work.expected, item.name);
      assert.equal(work.run(), work.expected, item.name);
    } finally {
      work.close?.();
    }
  }
  assert.equal(loadAddon().checksumName(), usual);
});
