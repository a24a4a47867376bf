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
import fc from 'fast-check';
import { FileStore } from '../../../src/cluster/store/file.ts';
import { LeasePlaces } from '../../../src/cluster/store/file-leases.ts';
import { takeLock } from '../../../src/cluster/store/file-lock.ts';
import { FileWatch } from '../../../src/cluster/store/file-watch.ts';
import { temporaryFolder } from '../../support/folder.ts';
import { until } from '../../support/until.ts';

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
  await assert.rejects(store.create('../config', 'x', undefined), /not a lease key/);
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
    const lock = await takeLock(place, STALE_MS);
    most = Math.max(most, ++inside);
    await readdir(root);
    inside--;
    await lock.end();
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

/** A watch that is told of changes, and what they add up to. */
function watched(t: TestContext, root: string) {
  const abort = new AbortController();
  t.after(() => abort.abort());
  const leases = new Map<string, string>();
  const seen = { leases, broken: [] as readonly string[], whole: 0, changes: 0, errors: 0 };
  new FileStore(root).watch(
    (snapshot) => {
      if (!snapshot.changes) {
        seen.whole++;
        leases.clear();
        for (const { key, value } of snapshot.leases) leases.set(key, value);
      }
      for (const [key, lease] of snapshot.changes ?? []) {
        seen.changes++;
        if (lease) leases.set(key, lease.value);
        else leases.delete(key);
      }
      seen.broken = snapshot.broken ?? [];
    },
    () => seen.errors++,
    abort.signal,
  );
  return seen;
}

/** What a store that reads all files at once finds. */
async function listed(root: string): Promise<string> {
  const { leases } = await new FileStore(root).list();
  return leases.map(({ key, value }) => `${key}=${value}`).join();
}

const sum = (leases: ReadonlyMap<string, string>): string =>
  [...leases]
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join();

test('file store, in a crowd: changed, replaced under the same time, removed, written in place: the watch ends as a list', async (t) => {
  const root = await temporaryFolder(t);
  const subnets = path.join(root, 'subnets');
  await mkdir(subnets);
  const fileOf = (n: number): string => path.join(subnets, `10.3.${n}.0-24`);
  for (let n = 0; n < 250; n++) await writeFile(fileOf(n), 'a');
  const seen = watched(t, root);
  await until('the crowd is seen', () => seen.leases.size === 250);
  const before = seen.changes;
  const same = new Date(1_700_000_000_000);
  for (let n = 0; n < 200; n++) {
    if (n % 4 === 0) await rm(fileOf(n));
    else if (n % 4 === 1) await writeFile(fileOf(n), 'b');
    else {
      const draft = path.join(root, 'new');
      await writeFile(draft, 'c');
      await utimes(draft, same, same);
      await rename(draft, fileOf(n));
    }
  }
  const expected = await listed(root);
  await until('as listed', () => sum(seen.leases) === expected);
  assert.equal(seen.whole, 1, 'the first only');
  assert.ok(seen.changes - before >= 200);
  await until(
    'nothing is said of the others',
    async () => (await listed(root)) === sum(seen.leases),
  );
});

test('file store: the folder is replaced by another one: what is in that counts, and is watched', async (t) => {
  const root = await temporaryFolder(t);
  const store = new FileStore(root);
  for (const n of [1, 2, 3]) await store.create(`10.3.${n}.0-24`, 'old', undefined);
  const seen = watched(t, root);
  await until('seen', () => seen.leases.size === 3);
  const subnets = path.join(root, 'subnets');
  await mkdir(`${subnets}-new`);
  await writeFile(path.join(`${subnets}-new`, '10.3.3.0-24'), 'new');
  await rename(subnets, `${subnets}-old`);
  await rename(`${subnets}-new`, subnets);
  await until('the new one', () => sum(seen.leases) === '10.3.3.0-24=new');
  await writeFile(path.join(`${subnets}-old`, '10.3.9.0-24'), 'nobody asks');
  await store.create('10.3.4.0-24', 'later', undefined);
  await until('its changes', () => sum(seen.leases) === '10.3.3.0-24=new,10.3.4.0-24=later');
});

test('file store: a folder that is not mounted any more is unavailable, not empty, and nothing is made below it', async (t) => {
  const root = path.join(await temporaryFolder(t), 'mounted');
  await mkdir(root);
  await writeFile(path.join(root, 'config'), '{}');
  const store = new FileStore(root);
  for (const n of [1, 2]) await store.create(`10.3.${n}.0-24`, 'a', undefined);
  assert.equal((await store.list()).leases.length, 2);
  const seen = watched(t, root);
  await until('both', () => seen.leases.size === 2);
  await rename(root, `${root}-away`);
  await mkdir(root);
  await until('it is unavailable', () => seen.errors > 0);
  await assert.rejects(store.list(), /config/);
  assert.equal(seen.leases.size, 2);
  assert.deepEqual(await readdir(root), []);
  await rm(root, { recursive: true });
  await rename(`${root}-away`, root);
  await store.create('10.3.3.0-24', 'a', undefined);
  await until('it is back', () => seen.leases.size === 3);
});

test('file store: a store that lost all its leases, but not its config, is empty', async (t) => {
  const root = await temporaryFolder(t);
  await writeFile(path.join(root, 'config'), '{}');
  const store = new FileStore(root);
  await store.create('10.3.1.0-24', 'a', undefined);
  assert.equal((await store.list()).leases.length, 1);
  await rm(path.join(root, 'subnets'), { recursive: true });
  assert.deepEqual((await store.list()).leases, []);
});

test('file store: a lease that ends takes its leave though no file changes', async (t) => {
  const root = await temporaryFolder(t);
  const store = new FileStore(root);
  await store.create('10.3.1.0-24', 'stays', undefined);
  await store.create('10.3.2.0-24', 'ends', 3_000);
  const seen = watched(t, root);
  await until('both', () => seen.leases.size === 2);
  await until('one', () => sum(seen.leases) === '10.3.1.0-24=stays');
});

test('file store: what the kernel says nothing of, as of a shared folder, is found by the round', async (t) => {
  const root = await temporaryFolder(t);
  const places = new LeasePlaces(root);
  await mkdir(places.subnets);
  for (let n = 0; n < 40; n++) await writeFile(places.value(`10.3.${n}.0-24`), 'a');
  const watch = new FileWatch(places, async () => Date.now());
  t.after(() => watch.close());
  const first = await watch.look();
  assert.equal(first?.leases.length, 40);
  watch.close(); // from here on it is deaf
  await writeFile(places.value('10.3.7.0-24'), 'changed in place');
  await rm(places.value('10.3.8.0-24'));
  const found = new Map<string, string | undefined>();
  await until('both are found', async () => {
    const changes = (await watch.look())?.changes ?? new Map();
    for (const [key, lease] of changes) found.set(key, lease?.value);
    return found.size === 2;
  });
  assert.deepEqual(
    [found.get('10.3.7.0-24'), found.get('10.3.8.0-24')],
    ['changed in place', undefined],
  );
});

test('file store, random steps: a watch ends as what is read all at once', async (t) => {
  const step = fc.record({
    n: fc.integer({ min: 0, max: 5 }),
    what: fc.integer({ min: 0, max: 4 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 15 }), async (steps) => {
      const root = await temporaryFolder(t);
      const store = new FileStore(root);
      const places = new LeasePlaces(root);
      await mkdir(places.subnets);
      const seen = watched(t, root);
      for (const [at, { n, what }] of steps.entries()) {
        const key = `10.3.${n}.0-24`;
        if (what === 0) await store.delete(key);
        else if (what === 1) await store.create(key, `${at}`, 60_000);
        else if (what === 2) await writeFile(places.value(key), `${at}`);
        else if (what === 3) await rm(places.expiry(key), { force: true });
        else await rm(places.value(key), { force: true });
      }
      const expected = await listed(root);
      await until('as listed', () => sum(seen.leases) === expected && seen.whole > 0);
    }),
    { numRuns: 12 },
  );
});
