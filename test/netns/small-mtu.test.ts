/** Messages that the path is too narrow for, on the loopback device of a fresh namespace. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { needs } from '../support/needs.ts';

const { test } = needs('root');

test('a message larger than the path MTU allows goes out datagram by datagram', () => {
  const child = path.join(import.meta.dirname, '../support/native/small-mtu.js');
  const run = spawnSync('unshare', ['--net', process.execPath, child], { encoding: 'utf8' });
  assert.equal(run.status, 0, run.stderr);
  const expected = { failed: 0, fallbacks: 1, datagrams: 10, equal: 10 };
  assert.deepEqual(JSON.parse(run.stdout), [expected, expected]);
});
