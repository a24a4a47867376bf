/** A registry over key-value stores: how the own lease is kept, by a clock that the test moves (fake store; real ones in test/system). */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { LEASE_TTL_MS } from '../../../src/cluster/lease/acquire.ts';
import { encodeValue } from '../../../src/cluster/lease/value.ts';
import { parseNetworkConfig } from '../../../src/cluster/network-config.ts';
import type { LeaseList } from '../../../src/cluster/registry.ts';
import { DELIVERY_MS, KeyedRegistry } from '../../../src/cluster/store/keyed-registry.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { keepLog } from '../../support/log-lines.ts';
import { MemoryStore } from '../../support/memory-store.ts';
import { words } from '../../support/rig.ts';

const MARGIN_MS = 3_600_000;
const MINUTE_MS = 60_000;
/** The own subnet is chosen at random: above those that other nodes have here. */
const config = parseNetworkConfig(
  '{"Network":"10.3.0.0/16","SubnetMin":"10.3.128.0","Backend":{"Type":"alloc"}}',
);
const attributes = (address: string) => ({ publicIp4: words(address), backendType: '' });

async function setUp(t: TestContext) {
  const clock = new FakeClock();
  const store = new MemoryStore(clock);
  const { log, messages } = keepLog();
  const registry = new KeyedRegistry(store, { renewMarginMs: MARGIN_MS, log, clock });
  t.after(() => registry.close());
  const before = await registry.list();
  const own = await registry.join({
    config,
    attributes: attributes('192.0.2.1'),
    previous: undefined,
  });
  const lists: LeaseList[] = [];
  registry.watch((list) => lists.push(list), assert.fail, new AbortController().signal);
  return { clock, store, messages, registry, own, lists, before };
}

test('before a node joins, no list has its lease; then every list has', async (t) => {
  const { registry, before, own } = await setUp(t);
  assert.equal(before.ownIsThere, false);
  const list = await registry.list();
  assert.equal(list.ownIsThere, true);
  assert.deepEqual(
    list.leases.map(({ key }) => key),
    [own.lease.key],
  );
});

test('keys that are not a lease are listed as unreadable', async (t) => {
  const { registry, store } = await setUp(t);
  store.overwrite('junk', '{}');
  const { leases, unreadable } = await registry.list();
  assert.equal(leases.length, 1);
  assert.deepEqual(unreadable, ['junk']);
});

test('a lease is renewed a margin before its end, again and again', async (t) => {
  const { clock, own } = await setUp(t);
  const endsAtMs = own.lease.expiresAtMs as number;
  await clock.move(LEASE_TTL_MS - MARGIN_MS - 1);
  assert.equal(own.renewals.ok, 0);
  await clock.move(1);
  assert.equal(own.renewals.ok, 1);
  assert.equal(own.lease.expiresAtMs, endsAtMs + LEASE_TTL_MS - MARGIN_MS);
  await clock.move(LEASE_TTL_MS * 3);
  assert.equal(own.renewals.ok, 4);
  assert.equal(own.renewals.failed, 0);
});

test('a calendar that is set back puts no renewal off, though lists come that ask for one', async (t) => {
  const { clock, store, own } = await setUp(t);
  await clock.move(1_000);
  clock.setCalendar(-10 * MARGIN_MS);
  store.overwrite('10.3.99.0-24', encodeValue(attributes('192.0.2.2')));
  await clock.move(LEASE_TTL_MS - MARGIN_MS);
  assert.equal(own.renewals.ok, 1);
});

test('after a sleep, which the monotonic clock does not count, the next list renews', async (t) => {
  const { clock, store, own } = await setUp(t);
  clock.setCalendar(LEASE_TTL_MS - MARGIN_MS);
  store.overwrite('10.3.99.0-24', encodeValue(attributes('192.0.2.2')));
  await clock.move(DELIVERY_MS);
  assert.equal(own.renewals.ok, 1);
});

test('a renewal that fails is tried every minute, said once, and counted', async (t) => {
  const { clock, store, own, messages } = await setUp(t);
  await clock.move(LEASE_TTL_MS - MARGIN_MS - 1);
  store.failure = new Error('no space left');
  await clock.move(1 + 4 * MINUTE_MS);
  assert.deepEqual(own.renewals, { ok: 0, failed: 5 });
  assert.equal(messages.filter((message) => /not renewed/.test(message)).length, 1);
  store.failure = undefined;
  await clock.move(MINUTE_MS);
  assert.deepEqual(own.renewals, { ok: 1, failed: 5 });
});

test('a key that vanishes is put back', async (t) => {
  const { clock, store, own, messages, lists } = await setUp(t);
  store.overwrite(own.lease.key, undefined);
  assert.equal(lists.at(-1)?.ownIsThere, false);
  await settle();
  await clock.move(DELIVERY_MS);
  assert.equal(lists.at(-1)?.ownIsThere, true);
  assert.equal(own.state, 'held');
  assert.ok(messages.includes('our lease was gone from the store; restored it'));
});

test('a key that expired while nobody renewed it is put back when the store answers again', async (t) => {
  const { clock, store, own, lists } = await setUp(t);
  store.failure = new Error('connection refused');
  await clock.move(LEASE_TTL_MS + MINUTE_MS);
  store.failure = undefined;
  store.deliver();
  await settle();
  await clock.move(DELIVERY_MS);
  assert.equal(lists.at(-1)?.ownIsThere, true);
  assert.equal(own.state, 'held');
});

test('a lost lease that can not be put back is tried again, without a word from the store', async (t) => {
  const { clock, store, own, messages } = await setUp(t);
  store.failure = new Error('read-only file system');
  store.overwrite(own.lease.key, undefined);
  await settle();
  assert.equal(own.state, 'lost');
  assert.ok(messages.some((message) => /can't be put back yet: read-only/.test(message)));
  await clock.move(20_000);
  assert.equal(store.value(own.lease.key), undefined);
  store.failure = undefined;
  await clock.move(5_000);
  await settle();
  assert.notEqual(store.value(own.lease.key), undefined);
  await clock.move(LEASE_TTL_MS - MARGIN_MS);
  assert.ok(own.renewals.ok > 0, 'and renewed as before');
});

test('a lost lease that another node took meanwhile is an alarm, not a fight', async (t) => {
  const { clock, store, own } = await setUp(t);
  store.failure = new Error('read-only file system');
  store.overwrite(own.lease.key, undefined);
  await settle();
  store.overwrite(own.lease.key, encodeValue(attributes('192.0.2.9')));
  store.failure = undefined;
  await clock.move(5_000);
  await settle();
  assert.equal(own.state, 'taken');
  assert.equal(store.value(own.lease.key), encodeValue(attributes('192.0.2.9')));
});

test("another node's value in our key is an alarm, and is not written over", async (t) => {
  const { clock, store, own, messages, lists } = await setUp(t);
  const foreign = encodeValue(attributes('192.0.2.9'));
  store.overwrite(own.lease.key, foreign);
  assert.equal(own.state, 'taken');
  assert.equal(lists.at(-1)?.ownIsThere, false);
  assert.ok(messages.some((message) => /another node wrote its address/.test(message)));
  await clock.move(LEASE_TTL_MS);
  assert.equal(store.value(own.lease.key), foreign);
});

test('new attributes are published under the same key; the old ones in a late list are no alarm', async (t) => {
  const { clock, store, own, lists } = await setUp(t);
  const { key } = own.lease;
  await own.publish(attributes('192.0.2.2'));
  assert.equal(store.value(key), encodeValue(attributes('192.0.2.2')));
  store.overwrite(key, encodeValue(attributes('192.0.2.1')));
  await clock.move(DELIVERY_MS);
  assert.equal(own.state, 'held');
  assert.equal(store.value(key), encodeValue(attributes('192.0.2.2')), 'and is caught up on');
  await clock.move(DELIVERY_MS);
  assert.equal(lists.at(-1)?.ownIsThere, true);
});

test('a stream of changes is delivered at once, then together', async (t) => {
  const { clock, store, lists, own } = await setUp(t);
  store.overwrite('10.3.7.0-24', encodeValue(attributes('192.0.2.7')));
  assert.equal(lists.length, 1, 'after a quiet time: at once');
  assert.equal(lists[0]?.changes, undefined, 'the first list is whole');
  store.overwrite('10.3.8.0-24', encodeValue(attributes('192.0.2.8')));
  store.overwrite('10.3.9.0-24', encodeValue(attributes('192.0.2.9')));
  store.overwrite('10.3.8.0-24', undefined);
  assert.equal(lists.length, 1);
  await clock.move(DELIVERY_MS);
  assert.equal(lists.length, 2);
  const keys = lists[1]?.leases.map(({ key }) => key).sort();
  assert.deepEqual(keys, [own.lease.key, '10.3.7.0-24', '10.3.9.0-24'].sort());
});

test('after stop nothing is written any more', async (t) => {
  const { clock, store, own } = await setUp(t);
  own.stop();
  store.overwrite(own.lease.key, undefined);
  await clock.move(LEASE_TTL_MS);
  assert.equal(store.value(own.lease.key), undefined);
  assert.equal(clock.waiting, 0);
});
