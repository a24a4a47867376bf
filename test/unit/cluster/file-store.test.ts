/** Leases as files of a directory. */
import assert from 'node:assert/strict';
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { FileStore } from '../../../src/cluster/store/file.ts';
import { temporaryFolder } from '../../support/folder.ts';

test('file store: compare on replace and delete, expiry, junk, links, odd files', async (t) => {
  const root = await temporaryFolder(t);
  const store = new FileStore(root);
  await assert.rejects(store.list(), /check that the directory exists/);
  assert.equal(await store.create('10.3.1.0-24', 'a', 60_000), 'created');
  assert.equal(await store.create('10.3.1.0-24', 'b', 60_000), 'exists');
  const [lease] = (await store.list()).leases;
  assert.ok(lease);
  assert.equal((await store.replace(lease.key, 'c', 60_000, 'other')).ok, false);
  assert.equal((await store.replace(lease.key, 'c', 60_000, lease.revision)).ok, true);
  assert.equal(await store.delete(lease.key, lease.revision), false);
  const subnets = path.join(root, 'subnets');
  await writeFile(path.join(subnets, 'hello'), 'junk');
  await writeFile(path.join(subnets, '10.3.7.0-24'), 'x'.repeat(20_000));
  await symlink('/etc/passwd', path.join(subnets, '10.3.8.0-24'));
  await mkdir(path.join(subnets, '10.3.9.0-24'));
  assert.deepEqual(
    (await store.list()).leases.map((l) => [l.key, l.value]),
    [['10.3.1.0-24', 'c']],
  );
  assert.equal(await store.create('10.3.2.0-24', 'd', -1), 'created');
  assert.equal((await store.list()).leases.length, 1, 'expired at once');
  assert.equal(await store.create('10.3.2.0-24', 'e', 60_000), 'created');
  await assert.rejects(store.create('../config', 'x', undefined), /no lease key/);
});

test('file store: the watch tells of changes, of the store going away and of its return', async (t) => {
  const root = await temporaryFolder(t);
  const store = new FileStore(root);
  await store.create('10.3.1.0-24', 'a', undefined);
  const abort = new AbortController();
  const events: string[] = [];
  let wake = (): void => undefined;
  const until = async (event: string): Promise<void> => {
    while (!events.includes(event)) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  const note = (event: string): void => {
    events.push(event);
    wake();
  };
  store.watch(
    (snapshot) => note(snapshot.leases.map((lease) => lease.value).join()),
    () => note('away'),
    abort.signal,
  );
  await until('a');
  await store.create('10.3.2.0-24', 'b', undefined);
  await until('a,b');
  await rm(path.join(root, 'subnets'), { recursive: true });
  await until('away');
  await store.create('10.3.3.0-24', 'c', undefined);
  await until('c');
  abort.abort();
});
