/** Go's expressions, as JavaScript compiles them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileGoPattern } from '../../../src/options/go-pattern.ts';

test('what Go and JavaScript write differently means the same', () => {
  assert.ok(compileGoPattern('(?i)^ETH\\d').test('eth0'));
  assert.ok(compileGoPattern('^[[:alpha:]]+[[:digit:]]$').test('eth0'));
  assert.ok(!compileGoPattern('^[[:alpha:]]+$').test('eth0'));
  assert.ok(compileGoPattern('\\Aeth0\\z').test('eth0'));
  assert.ok(!compileGoPattern('\\Aeth0\\z').test('veth0'));
  assert.ok(compileGoPattern('^(?P<kind>eth|ens)\\d').test('ens3'));
});

test('what only Go has is refused, for it would match nothing', () => {
  for (const text of [
    '\\pL+',
    '\\p{Greek}',
    '\\PN',
    '\\Qeth.0\\E',
    '(?U)eth.*',
    'a(?i:b)',
    '[[:^alpha:]]',
    '[[:graph:]]',
  ])
    assert.throws(() => compileGoPattern(text), /only works in Go/, text);
  assert.throws(() => compileGoPattern('('), SyntaxError);
});
