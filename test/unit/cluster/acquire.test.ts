/** How a node comes to its lease: its own, the one it had, a free one; races and exhaustion. */
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { acquireLease } from '../../../src/cluster/lease/acquire.ts';
import { encodeValue } from '../../../src/cluster/lease/value.ts';
import { parseNetworkConfig } from '../../../src/cluster/network-config.ts';
import { FileStore } from '../../../src/cluster/store/file.ts';
import { temporaryFolder } from '../../support/folder.ts';
import { attributes } from '../../support/leases.ts';
import { prefix } from '../../support/rig.ts';

const config = parseNetworkConfig(
  '{"Network":"10.3.0.0/16","SubnetMin":"10.3.1.0","SubnetMax":"10.3.25.0","Backend":{"Type":"vxlan"}}',
);

test('ACQ-1, ACQ-2, ACQ-3, ACQ-6 acquiring, reusing, moving', async (t) => {
  const store = new FileStore(await temporaryFolder(t));
  for (const i of [1, 2, 4, 5]) {
    await store.create(`10.3.${i}.0-24`, encodeValue(attributes(`192.0.2.${i}`)), 60_000);
  }
  const last = () => 0.99; // not 10.3.6.0, which is wanted below
  const lease = await acquireLease(store, config, attributes('192.0.2.9'), undefined, last);
  assert.ok(!['10.3.1.0-24', '10.3.2.0-24', '10.3.4.0-24', '10.3.5.0-24'].includes(lease.key));
  const left = (lease.expiresAtMs ?? 0) - Date.now();
  assert.ok(left <= 86_400_000 && left > 86_300_000);
  assert.equal(
    (await acquireLease(store, config, attributes('192.0.2.9'), undefined)).key,
    lease.key,
  );
  const previous = { subnet4: prefix('10.3.6.0/24') };
  assert.equal(
    (await acquireLease(store, config, attributes('192.0.2.10'), previous)).key,
    '10.3.6.0-24',
  );
  const held = await acquireLease(store, config, attributes('192.0.2.11'), previous);
  assert.notEqual(held.key, '10.3.6.0-24');
  const moved = parseNetworkConfig('{"Network":"10.4.0.0/16","Backend":{"Type":"vxlan"}}');
  const next = await acquireLease(store, moved, attributes('192.0.2.11'), previous);
  assert.match(next.key, /^10\.4\./);
  assert.ok(!(await store.list()).leases.some((stored) => stored.key === held.key));
});

test('ACQ-4, ACQ-5, ACQ-7 exhaustion, a lost race, a reservation', async (t) => {
  const small = parseNetworkConfig('{"Network":"10.3.0.0/28","Backend":{"Type":"vxlan"}}');
  const store = new FileStore(await temporaryFolder(t));
  await store.create('10.3.0.4-30', encodeValue(attributes('192.0.2.1')), undefined);
  const own = await acquireLease(store, small, attributes('192.0.2.1'), undefined);
  assert.ok(own.isPermanent, 'a reservation stays permanent');
  assert.equal((await store.list()).leases[0]?.isPermanent, true);
  await acquireLease(store, small, attributes('192.0.2.2'), undefined);
  await acquireLease(store, small, attributes('192.0.2.3'), undefined);
  await assert.rejects(
    acquireLease(store, small, attributes('192.0.2.4'), undefined),
    /out of subnets/,
  );
  const racing = new FileStore(await temporaryFolder(t));
  await racing.create('10.9.0.0-24', 'x', undefined);
  const create = racing.create.bind(racing);
  let lost = 0;
  racing.create = async (key, value, ttlMs) =>
    lost++ === 0 ? 'exists' : create(key, value, ttlMs);
  assert.ok((await acquireLease(racing, config, attributes('192.0.2.5'), undefined)).key);
});

const dual = parseNetworkConfig(
  '{"Network":"10.3.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:3::/48","Backend":{"Type":"vxlan"}}',
);

async function emptyStore(t: TestContext): Promise<FileStore> {
  const root = await temporaryFolder(t);
  await mkdir(path.join(root, 'subnets'));
  return new FileStore(root);
}

/** These numbers, then random ones. */
const picks =
  (...values: number[]) =>
  () =>
    values.shift() ?? Math.random();

test('two dual-stack nodes of which one picks subnets of the other end with different ones', async (t) => {
  const store = await emptyStore(t);
  // The rival's key comes between our list and our own key, and has one of our subnets in common.
  const rival = '10.3.1.0-24&fd00:3:0:9::-64';
  const create = store.create.bind(store);
  store.create = async (key, value, ttlMs) => {
    if (key !== rival) await create(rival, encodeValue(attributes('192.0.2.1')), undefined);
    return create(key, value, ttlMs);
  };
  const { key } = await acquireLease(store, dual, attributes('192.0.2.2'), undefined, picks(0));
  assert.notEqual(key.split('&')[0], '10.3.1.0-24');
  assert.deepEqual(
    (await store.list()).leases.map((lease) => lease.key).sort(),
    [key, rival].sort(),
  );
});

test('dual-stack nodes that start at the same moment take no key back: stock nodes would drop their rival', async (t) => {
  const store = await emptyStore(t);
  const deleted: string[] = [];
  const remove = store.delete.bind(store);
  store.delete = (key, revision) => {
    deleted.push(key);
    return remove(key, revision);
  };
  const nodes = Array.from({ length: 24 }, (_, i) => attributes(`192.0.2.${i + 1}`));
  const leases = await Promise.all(nodes.map((own) => acquireLease(store, dual, own, undefined)));
  for (const i of [0, 1]) {
    const subnets = new Set(leases.map(({ key }) => key.split('&')[i]));
    assert.equal(subnets.size, nodes.length);
  }
  assert.deepEqual(deleted, []);
});
