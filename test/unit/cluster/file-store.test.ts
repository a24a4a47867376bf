/** Leases as files of a directory. */
import assert from 'node:assert/strict';
import {
  chmod,
  link,
  mkdir,
  readdir,
  rename,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { FileStore } from '../../../src/cluster/store/file.ts';
import { takeLock } from '../../../src/cluster/store/file-lock.ts';
import { temporaryFolder } from '../../support/folder.ts';

test('file store: compare on replace and delete, expiry, junk, links, odd files', async (t) => {
  const root = await temporaryFolder(t);
  const store = new FileStore(root);
  await assert.rejects(
    new FileStore(path.join(root, 'none')).list(),
    /check that the directory exists/,
  );
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
  await rename(root, `${root}-moved`);
  await until('away');
  await rename(`${root}-moved`, root);
  await store.create('10.3.3.0-24', 'c', undefined);
  await until('a,b,c');
  abort.abort();
});

const KEY = '10.3.1.0-24';
const DAY_MS = 86_400_000;
const keysOf = async (store: FileStore): Promise<string[]> =>
  (await store.list()).leases.map(({ key }) => key);

/** From now on this node's clock is wrong by so much; the file system's is not. */
function setClock(t: TestContext, aheadMs: number): void {
  const now = Date.now.bind(Date);
  t.mock.method(Date, 'now', () => now() + aheadMs);
}

for (const aheadMs of [2 * DAY_MS, -50 * 365 * DAY_MS])
  test(`file store: a node whose clock is ${aheadMs / DAY_MS} days off steals nothing and is seen by others`, async (t) => {
    const root = await temporaryFolder(t);
    const right = new FileStore(root);
    await right.create(KEY, 'a', DAY_MS);
    setClock(t, aheadMs);
    const wrong = new FileStore(root);
    assert.deepEqual(await keysOf(wrong), [KEY], 'a live lease is live');
    assert.equal(await wrong.create(KEY, 'thief', DAY_MS), 'exists');
    assert.equal(await wrong.create('10.3.2.0-24', 'b', DAY_MS), 'created');
    const { aheadMs: said } = await wrong.readClock();
    assert.ok(Math.abs(said + aheadMs) < 60_000, `${said}`);
    const end = await wrong.expiry('10.3.2.0-24');
    const leftMs = (end ?? 0) - Date.now();
    assert.ok(Math.abs(leftMs - DAY_MS) < 60_000, 'by its own clock its lease lasts a day');
    t.mock.restoreAll();
    assert.deepEqual(await keysOf(new FileStore(root)), [KEY, '10.3.2.0-24']);
    assert.ok(Math.abs(((await right.expiry('10.3.2.0-24')) ?? 0) - Date.now() - DAY_MS) < 60_000);
  });

test('file store: an expiry that is half-written, or no file, makes no lease permanent', async (t) => {
  const root = await temporaryFolder(t);
  const store = new FileStore(root);
  await store.create(KEY, 'a', DAY_MS);
  const expiry = path.join(root, 'leases', KEY);
  for (const spoil of [
    () => writeFile(expiry, '{"expiresA'),
    () => writeFile(expiry, ''),
    () => rm(expiry).then(() => mkdir(expiry)),
  ]) {
    await spoil();
    const [lease] = (await store.list()).leases;
    assert.equal(lease?.isPermanent, false);
    assert.ok((lease?.expiresAtMs ?? 0) > Date.now());
    await utimes(expiry, 0, 1);
    assert.deepEqual(await keysOf(store), [], 'a day after it was written it ends');
    await utimes(expiry, new Date(), new Date());
  }
});

test('file store: a file that can not be read costs only itself, and is known by what it was', async (t) => {
  const root = await temporaryFolder(t);
  const store = new FileStore(root);
  await chmod(root, 0o777);
  for (const n of [1, 2, 3]) await store.create(`10.3.${n}.0-24`, `v${n}`, undefined);
  await store.list();
  const file = (n: number): string => path.join(root, 'subnets', `10.3.${n}.0-24`);
  await writeFile(file(2), 'changed');
  await writeFile(file(4), 'new');
  for (const n of [2, 4]) await chmod(file(n), 0o000);
  const isRoot = process.getuid?.() === 0;
  // Root may read everything.
  if (isRoot) process.seteuid?.(65_534);
  const found = await store.list().finally(() => isRoot && process.seteuid?.(0));
  assert.deepEqual(
    found.leases.map(({ value }) => value),
    ['v1', 'v2', 'v3'],
  );
  assert.deepEqual(found.broken, ['10.3.2.0-24', '10.3.4.0-24']);
  for (const n of [2, 4]) await chmod(file(n), 0o644);
  const healed = await store.list();
  assert.deepEqual(
    healed.leases.map(({ value }) => value),
    ['v1', 'changed', 'v3', 'new'],
  );
  assert.deepEqual(healed.broken, []);
});

test('file store: a missing subnets folder is an empty store, a missing store is unavailable', async (t) => {
  const root = await temporaryFolder(t);
  const store = new FileStore(root);
  assert.deepEqual(await keysOf(store), []);
  await rename(root, `${root}-moved`);
  await assert.rejects(store.list(), { code: 'ERR_STORE_UNAVAILABLE' });
  await rename(`${root}-moved`, root);
});

test('file store: drafts that a dead writer left go with the next write, young ones stay', async (t) => {
  const root = await temporaryFolder(t);
  const store = new FileStore(root);
  await store.create(KEY, 'a', undefined);
  await writeFile(path.join(root, '.draft-old'), '');
  await utimes(path.join(root, '.draft-old'), 0, 1);
  await writeFile(path.join(root, '.draft-young'), '');
  await store.create('10.3.2.0-24', 'b', undefined);
  const drafts = (await readdir(root)).filter((name) => name.startsWith('.'));
  assert.deepEqual(drafts, ['.draft-young']);
});

/** Long enough for a living writer's turn on a busy machine. */
const STALE_MS = 1_000;

/** Takes the lock as often as asked at once; the greatest number that had it together. */
async function crowd(root: string, writers: number): Promise<number> {
  let inside = 0;
  let most = 0;
  let drafts = 0;
  const place = {
    folder: root,
    async writeDraft(text: string): Promise<string> {
      const draft = path.join(root, `.draft-${drafts++}`);
      await writeFile(draft, text);
      return draft;
    },
  };
  const turn = async (): Promise<void> => {
    const unlock = await takeLock(place, STALE_MS);
    most = Math.max(most, ++inside);
    await readdir(root);
    inside--;
    await unlock();
  };
  await Promise.all(Array.from({ length: writers }, turn));
  return most;
}

test('file store: a crowd of writers goes in one by one', async (t) => {
  const root = await temporaryFolder(t);
  assert.equal(await crowd(root, 200), 1);
  assert.deepEqual(await readdir(root), []);
});

for (const [name, date] of [
  ['of a dead writer', new Date(0)],
  ['from the future', new Date(Date.now() + DAY_MS)],
] as const)
  test(`file store: a lock ${name} ends, and its heirs still go in one by one`, async (t) => {
    const root = await temporaryFolder(t);
    await writeFile(path.join(root, '.lock'), 'ABC an older weft wrote none of this\n');
    await utimes(path.join(root, '.lock'), date, date);
    assert.equal(await crowd(root, 30), 1);
    assert.deepEqual(await readdir(root), []);
  });

test('file store: a writer that died while it ended a dead lock keeps nobody out', async (t) => {
  const root = await temporaryFolder(t);
  await writeFile(path.join(root, '.lock'), 'abc');
  await link(path.join(root, '.lock'), path.join(root, '.lock-abc'));
  assert.equal(await crowd(root, 5), 1);
  assert.deepEqual(await readdir(root), []);
});
