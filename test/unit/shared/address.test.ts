/** Addresses and prefixes as text. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatAddress, parseAddress, parsePrefix } from '../../../src/shared/address.ts';
import { words } from '../../support/rig.ts';

test('addresses: text round-trips, lenient forms are refused', () => {
  fc.assert(fc.property(fc.ipV4(), (text) => assert.equal(formatAddress(words(text)), text)));
  fc.assert(
    fc.property(fc.ipV6(), (text) => {
      const parsed = parseAddress(text);
      if (parsed) assert.deepEqual(words(formatAddress(parsed)), parsed);
    }),
  );
  for (const bad of [
    '1.2.3',
    '01.2.3.4',
    '1.2.3.4.5',
    '1',
    '0x1.2.3.4',
    'fe80::1%eth0',
    '',
    '::g',
  ]) {
    assert.equal(parseAddress(bad), undefined, bad);
  }
  assert.equal(parsePrefix('10.0.0.0/33'), undefined);
});
