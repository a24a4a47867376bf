/** MACs as Go reads them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatMac, parseMac } from '../../../src/shared/address.ts';

test('colons, dashes and dots are one MAC; a mixture, and what is longer or shorter, is none', () => {
  for (const text of ['02:ab:cd:ef:01:23', '02-AB-CD-EF-01-23', '02ab.cdef.0123']) {
    const mac = parseMac(text);
    assert.equal(mac && formatMac(mac), '02:ab:cd:ef:01:23', text);
  }
  for (const text of [
    '02:ab-cd:ef:01:23',
    '02ab:cdef:0123',
    '02ab.cdef',
    '02:ab:cd:ef:01:23:45:67',
    '02abcdef0123',
    '',
  ])
    assert.equal(parseMac(text), undefined, text);
});
