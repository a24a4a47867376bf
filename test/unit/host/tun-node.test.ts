/** Whose /dev it is: nodes are made in that of a container only. What then works is shown by test/system/image.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isOwnDev } from '../../../src/host/tun-node.ts';

const ROOT = '26 1 254:0 / / rw,relatime - ext4 /dev/root rw';
const SHM = '24 23 0:26 / /dev/shm rw,relatime - tmpfs tmpfs rw';

test('a tmpfs is a /dev of its own, devtmpfs is the host, and the last mount counts', () => {
  const host = '23 26 0:6 / /dev rw,relatime shared:2 - devtmpfs devtmpfs rw,mode=755';
  const own = '655 650 0:51 / /dev rw,nosuid master:7 - tmpfs tmpfs rw,size=65536k';
  const isOwn = (...lines: string[]): boolean => isOwnDev([ROOT, ...lines, SHM, ''].join('\n'));
  assert.equal(isOwn(host), false);
  assert.equal(isOwn(own), true);
  assert.equal(isOwn(host, own), true);
  assert.equal(isOwn(own, host), false);
  assert.equal(isOwn(), false);
});
