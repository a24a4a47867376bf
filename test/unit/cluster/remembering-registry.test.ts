/** A registry that remembers, around one that is silent, refuses, comes back, and says something else then. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { isOwnAddress } from '../../../src/cluster/lease/acquire.ts';
import type { Lease } from '../../../src/cluster/lease/lease.ts';
import { parseNetworkConfig } from '../../../src/cluster/network-config.ts';
import type {
  HeldLease,
  JoinWish,
  LeaseList,
  MemoryPolicy,
} from '../../../src/cluster/registry.ts';
import { encodeMemory, type Memory } from '../../../src/cluster/remember/memory.ts';
import { MEMORY_FILE, readMemory } from '../../../src/cluster/remember/memory-file.ts';
import {
  PATIENCE_MS,
  RememberingRegistry,
} from '../../../src/cluster/remember/remembering-registry.ts';
import { EXIT, WeftError } from '../../../src/shared/errors.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { temporaryFolder } from '../../support/folder.ts';
import { keepLog } from '../../support/log-lines.ts';
import { ToyRegistry, toyLease } from '../../support/toy-registry.ts';
import { until } from '../../support/until.ts';

const CONFIG = '{"Network":"10.244.0.0/16","Backend":{"Type":"host-gw"}}';
const OTHER_CONFIG = '{"Network":"10.245.0.0/16","Backend":{"Type":"host-gw"}}';
const WISH: JoinWish = {
  config: parseNetworkConfig(CONFIG),
  attributes: toyLease(1).attributes,
  previous: undefined,
};
const GONE = new WeftError('ERR_STORE_UNAVAILABLE', EXIT.unavailable, 'gone fishing');
const REFUSED = new WeftError('ERR_STORE_REFUSED', EXIT.unavailable, 'who are you');
const HOUR_MS = 3_600_000;

/** As of a store in which leases end. */
const ENDING: MemoryPolicy = {
  of: 'toy registry, node-1',
  until: ({ expiresAtMs }) => expiresAtMs,
  isOurs: (own, attributes) => isOwnAddress(own.attributes, attributes),
};

async function setUp(t: TestContext, changes: Partial<Memory> = {}) {
  const folder = await temporaryFolder(t);
  const file = path.join(folder, MEMORY_FILE);
  const clock = new FakeClock();
  const toy = new ToyRegistry();
  toy.config = CONFIG;
  toy.put(toyLease(1), toyLease(2));
  const { log, messages } = keepLog();
  const memory: Memory = {
    of: ENDING.of,
    savedAtMs: clock.nowMs() - 12 * 60_000,
    config: CONFIG,
    own: { ...toyLease(1), isPermanent: false, expiresAtMs: clock.nowMs() + HOUR_MS },
    others: [toyLease(2), toyLease(3)],
    ...changes,
  };
  writeFileSync(file, await encodeMemory(memory), { mode: 0o600 });
  const start = (policy: MemoryPolicy = ENDING) =>
    new RememberingRegistry(toy, policy, { folder, log, clock });
  return { toy, clock, messages, file, start };
}

/** The calls of a start, each again every second while it fails, as the daemon makes them. */
async function begin(registry: RememberingRegistry, clock: FakeClock, wish = WISH) {
  const again = async <T>(call: () => Promise<T>): Promise<T> => {
    for (let tries = 0; tries < 10; tries++) {
      try {
        return await call();
      } catch {
        await clock.move(1_000);
      }
    }
    throw new Error('it waits');
  };
  const config = await again(() => registry.readConfig());
  const list = await again(() => registry.list());
  const held = await again(() => registry.join(wish));
  return { config, list, held };
}

function follow(registry: RememberingRegistry, t: TestContext) {
  const lists: LeaseList[] = [];
  const errors: Error[] = [];
  const end = new AbortController();
  t.after(() => end.abort());
  registry.watch(
    (list) => lists.push(list),
    (error) => errors.push(error),
    end.signal,
  );
  return { lists, errors };
}

const keysOf = ({ leases }: LeaseList): string[] => leases.map(({ key }) => key);

test('a store that answers is followed, and what it says is remembered: config, own lease, the others', async (t) => {
  const { toy, clock, file, start } = await setUp(t);
  const registry = start();
  const { config, held } = await begin(registry, clock);
  follow(registry, t);
  assert.equal(config, CONFIG);
  assert.equal(held.state, 'held');
  assert.equal(registry.rememberedAtMs, undefined);
  toy.put(toyLease(7));
  await registry.close();
  const found = await readMemory(file);
  assert.ok(typeof found === 'object');
  assert.deepEqual([found.config, found.own.key], [CONFIG, 'node-1']);
  assert.deepEqual(
    found.others.map(({ key }) => key),
    ['node-2', 'node-7'],
  );
  assert.equal(found.savedAtMs, clock.nowMs());
});

test('a list without our own lease is of a store that is being emptied, and is not remembered', async (t) => {
  const { toy, clock, file, start } = await setUp(t);
  const registry = start();
  await begin(registry, clock);
  follow(registry, t);
  toy.put(toyLease(2));
  toy.remove('node-1', 'node-2');
  await registry.close();
  assert.match(readFileSync(file, 'utf8'), /node-2/);
});

test('a silent store: three seconds later its node has config, lease and peers from memory', async (t) => {
  const { toy, clock, messages, start } = await setUp(t);
  toy.failure = GONE;
  const registry = start();
  const startedMs = clock.nowMs();
  await assert.rejects(registry.readConfig(), { message: 'gone fishing' });
  const { config, list, held } = await begin(registry, clock);
  assert.equal(clock.nowMs() - startedMs, PATIENCE_MS);
  assert.equal(config, CONFIG);
  assert.deepEqual(keysOf(list), ['node-1', 'node-2', 'node-3']);
  assert.deepEqual([held.lease.key, held.state], ['node-1', 'remembered']);
  assert.equal(registry.rememberedAtMs, startedMs - 12 * 60_000);
  assert.match(messages.join(), /gone fishing; starting from memory, 12 minutes old/);
  const { errors, lists } = follow(registry, t);
  assert.deepEqual([errors[0]?.message, lists.length], ['gone fishing', 0]);
});

test('a store that hangs is not waited for, and neither is one without a network config', async (t) => {
  const { toy, clock, start } = await setUp(t);
  const hanging = start();
  toy.readConfig = () => new Promise(() => undefined);
  const text = hanging.readConfig();
  await until('it is from memory', async () => {
    await clock.move(PATIENCE_MS);
    return hanging.rememberedAtMs !== undefined;
  });
  assert.equal(await text, CONFIG);
  const empty = start();
  toy.readConfig = async () => undefined;
  assert.equal(await empty.readConfig(), undefined);
  await clock.move(PATIENCE_MS);
  assert.equal(await empty.readConfig(), CONFIG);
});

test('a refusal is an answer: nothing is recalled', async (t) => {
  const { toy, clock, start } = await setUp(t);
  toy.failure = REFUSED;
  const registry = start();
  for (let i = 0; i < 5; i++) {
    await assert.rejects(registry.readConfig(), { code: 'ERR_STORE_REFUSED' });
    await clock.move(1_000);
  }
  assert.equal(registry.rememberedAtMs, undefined);
});

test('silent between two answers of a start: the list is from memory, and the next answer ends that', async (t) => {
  const { toy, clock, start } = await setUp(t);
  const registry = start();
  const { held } = await begin(registry, clock);
  assert.equal(held.state, 'held');
  toy.failure = GONE;
  for (let i = 0; i * 1_000 < PATIENCE_MS; i++) {
    await assert.rejects(registry.list());
    await clock.move(1_000);
  }
  assert.deepEqual(keysOf(await registry.list()), ['node-1', 'node-2', 'node-3']);
  assert.notEqual(registry.rememberedAtMs, undefined);
  const { lists } = follow(registry, t);
  await registry.nodeReady();
  await settle();
  toy.failure = undefined;
  await clock.move(1_000);
  await settle();
  assert.equal(registry.rememberedAtMs, undefined);
  toy.put(toyLease(9));
  assert.ok(lists.length > 0 && toy.calls.includes('nodeReady'));
  assert.equal(toy.calls.filter((call) => call === 'join').length, 1);
});

test('the store comes back with the same: the watch begins, the lease is held, the node is ready there', async (t) => {
  const { toy, clock, messages, start } = await setUp(t);
  toy.failure = GONE;
  const registry = start();
  const { held } = await begin(registry, clock);
  const { errors, lists } = follow(registry, t);
  await registry.nodeReady();
  await settle();
  assert.ok(!toy.calls.includes('nodeReady'), 'nobody is there to hear it');
  toy.failure = REFUSED;
  await clock.move(1_000);
  assert.equal(errors.at(-1)?.message, 'who are you');
  toy.failure = undefined;
  await clock.move(1_000);
  assert.equal(held.state, 'held');
  assert.equal(registry.rememberedAtMs, undefined);
  assert.ok(toy.calls.includes('nodeReady'));
  assert.match(messages.join(), /what was remembered holds/);
  toy.put(toyLease(9));
  assert.ok(keysOf(lists.at(-1) as LeaseList).includes('node-9'));
});

test('an address that changed meanwhile is published when the store is back', async (t) => {
  const { toy, clock, start } = await setUp(t);
  toy.failure = GONE;
  const registry = start();
  const { held } = await begin(registry, clock);
  follow(registry, t);
  const { attributes } = toyLease(77);
  await held.publish(attributes);
  assert.deepEqual(held.lease.attributes, attributes);
  toy.failure = undefined;
  await clock.move(2_000);
  assert.deepEqual(toy.get('node-1')?.attributes, attributes);
});

test('the network config changed, or the subnet was given away: the node starts again', async (t) => {
  for (const change of [
    (toy: ToyRegistry) => {
      toy.config = OTHER_CONFIG;
    },
    (toy: ToyRegistry) => {
      toy.join = async () => ({ ...asHeld(toyLease(8)) });
    },
  ]) {
    const { toy, clock, start } = await setUp(t);
    toy.failure = GONE;
    const registry = start();
    await begin(registry, clock);
    const { errors, lists } = follow(registry, t);
    toy.failure = undefined;
    change(toy);
    await clock.move(5_000);
    const last = errors.at(-1) as WeftError;
    assert.deepEqual([last.code, last.exitCode], ['ERR_START_AGAIN', EXIT.again]);
    assert.match(
      last.message,
      /config changed while|10\.244\.1\.0-24 is another node's now, ours is 10\.244\.8/,
    );
    assert.equal(lists.length, 0);
  }
});

function asHeld(lease: Lease): HeldLease {
  const renewals = { ok: 0, failed: 0 };
  return { lease, state: 'held', renewals, publish: async () => undefined, stop: () => undefined };
}

test('the lease ends while the node runs from memory: it stops, and does not start from memory again', async (t) => {
  const { toy, clock, messages, start } = await setUp(t);
  toy.failure = GONE;
  const registry = start();
  await begin(registry, clock);
  const { errors } = follow(registry, t);
  await clock.move(HOUR_MS - 10_000);
  assert.equal((errors.at(-1) as WeftError).code, 'ERR_STORE_UNAVAILABLE');
  await clock.move(10_000);
  assert.match(errors.at(-1)?.message ?? '', /is no longer valid: this node's lease ended/);
  const next = start();
  await assert.rejects(begin(next, clock), { message: 'it waits' });
  assert.match(messages.join(), /is not used: this node's lease ended/);
});

const REFUSALS: readonly [situation: string, changes: Partial<Memory>, why: RegExp][] = [
  ['of another store', { of: 'etcd elsewhere' }, /it is of etcd elsewhere, not of toy registry/],
  ['with a lease that ended', { own: { ...toyLease(1), expiresAtMs: 5 } }, /lease ended at 1970/],
  [
    'from the future: the clock was not set',
    { savedAtMs: Date.UTC(2026, 0, 2) },
    /clock is behind 2026-01-02/,
  ],
  [
    'with a config that this weft can not use',
    { config: '{}' },
    /Network "" is not an IPv4 network/,
  ],
];
for (const [situation, changes, why] of REFUSALS) {
  test(`a memory ${situation} is not used, and the log says so once`, async (t) => {
    const { toy, clock, messages, start } = await setUp(t, changes);
    toy.failure = GONE;
    await assert.rejects(begin(start(), clock), { message: 'it waits' });
    assert.equal(messages.filter((text) => why.test(text)).length, 1, messages.join('\n'));
  });
}

test('a clock that is set while the node waits makes the memory usable', async (t) => {
  const { toy, clock, start } = await setUp(t, { savedAtMs: Date.UTC(2026, 0, 1) + 5_000 });
  toy.failure = GONE;
  const { held } = await begin(start(), clock);
  assert.equal(held.state, 'remembered');
});

test('a memory of a node with another address is not used; where nodes have names it is', async (t) => {
  const wish = { ...WISH, attributes: toyLease(44).attributes };
  const { toy, clock, messages, start } = await setUp(t);
  const byAddress = start();
  await byAddress.readConfig();
  await byAddress.list();
  toy.failure = GONE;
  for (let i = 0; i < 5; i++) {
    await assert.rejects(byAddress.join(wish), { message: 'gone fishing' });
    await clock.move(1_000);
  }
  assert.match(messages.join(), /of a node with another address/);
  const { held } = await begin(start(toy.memory), clock, wish);
  assert.deepEqual(held.lease.attributes, wish.attributes);
});

test('a lease that ended still tells which subnet the node would like again', async (t) => {
  const { toy, clock, messages, start } = await setUp(t, {
    own: { ...toyLease(1), expiresAtMs: 5 },
  });
  let wished: JoinWish | undefined;
  toy.join = async (wish) => {
    wished = wish;
    return asHeld(toyLease(1));
  };
  await begin(start(), clock);
  assert.deepEqual(wished?.previous, { subnet4: toyLease(1).subnet4 });
  assert.deepEqual(messages, [], 'nobody needs the memory, so nothing is said of it');
});
