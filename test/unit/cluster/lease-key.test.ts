/** Keys of leases. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatKey, parseKey } from '../../../src/cluster/lease/key.ts';

test('KEY-1, KEY-2 keys round-trip; malformed ones are refused', () => {
  for (const key of ['10.1.5.0-24', '10.12.13.0-24&fd00:12:13::-56']) {
    assert.equal(formatKey(parseKey(key) ?? {}), key);
  }
  for (const bad of [
    '10',
    '10.12.13.0',
    '10.12.13-24',
    '10.12.13.300-24',
    '10.12.13.0-24hi',
    '&2001::-56',
    '10.12.13.0-24&:12:13:-56',
    '10.12.13.0-24&20011::-56',
    '10.12.13.0-24&2001-56',
    '10.12.13.0-24&2001::',
    '10.12.13.0-24&2001::-56hi',
    '10.0.0.0-32',
    '../config',
    'hello',
  ]) {
    assert.equal(parseKey(bad), undefined, bad);
  }
});
