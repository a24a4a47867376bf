/** What a node remembers over restarts. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { randomMac, readState, writeState } from '../../../src/control/plane/state.ts';
import { temporaryFolder } from '../../support/folder.ts';

test('the MAC survives a restart; a broken state file is an empty one', async (t) => {
  const root = await temporaryFolder(t);
  const mac = randomMac();
  assert.equal((mac.high >>> 24) & 3, 2, 'unicast, locally administered');
  await writeState(root, { macs: { 'flannel.1': mac } });
  assert.deepEqual((await readState(root)).macs, { 'flannel.1': mac });
  await writeFile(path.join(root, 'state.json'), '{"macs":3');
  assert.deepEqual((await readState(root)).macs, {});
  assert.equal(await readFile(path.join(root, 'state.json'), 'utf8'), '{"macs":3');
});
