/** The etcd store and the lease's life on a real etcd: bytes, races, renewal, watches. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { EtcdServer } from '../../lab/etcd.ts';
import type { Etcdctl } from '../../lab/etcdctl.ts';
import { descriptorsOf } from '../../lab/soak/descriptors.ts';
import { acquireLease, parseLeases } from '../../src/cluster/lease/acquire.ts';
import type { Lease, LeaseAttributes } from '../../src/cluster/lease/lease.ts';
import { parseNetworkConfig } from '../../src/cluster/network-config.ts';
import { EtcdStore } from '../../src/cluster/store/etcd.ts';
import { KeyedLease } from '../../src/cluster/store/keyed-lease.ts';
import type { EtcdSettings } from '../../src/cluster/store/settings.ts';
import type { Snapshot } from '../../src/cluster/store/store.ts';
import { createLog } from '../../src/control/log/log.ts';
import { systemClock } from '../../src/shared/clock.ts';
import { needs } from '../support/needs.ts';
import { prefix, words } from '../support/rig.ts';
import { until } from '../support/until.ts';

const { after, afterEach, before, describe, test } = needs('etcd', 'etcdctl');

const PREFIX = '/coreos.com/network';
const config = parseNetworkConfig(
  '{"Network":"10.3.0.0/16","SubnetMin":"10.3.1.0","SubnetMax":"10.3.25.0","Backend":{"Type":"vxlan"}}',
);
const attributes = (ip: string): LeaseAttributes => ({
  publicIp4: words(ip),
  backendType: 'vxlan',
  backendData: { VNI: 1, VtepMAC: 'c6:d2:32:6f:8f:44' },
});
const VALUE =
  '{"PublicIP":"192.0.2.9","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}}';
const quiet = createLog('json', 'error');
quiet.level = 'silent';

const settingsFor = (endpoints: string[], more: Partial<EtcdSettings> = {}): EtcdSettings => ({
  endpoints,
  prefix: PREFIX,
  keyFile: '',
  certFile: '',
  caFile: '',
  username: '',
  password: '',
  ...more,
});

describe('etcd store', () => {
  let folder: string;
  let server: EtcdServer;
  let ctl: Etcdctl;
  const open: { close(): unknown }[] = [];
  const store = (more: Partial<EtcdSettings> = {}): EtcdStore => {
    const made = new EtcdStore(settingsFor([server.endpoint], more));
    open.push(made);
    return made;
  };
  const keeperOf = (on: EtcdStore, lease: Lease, marginMs = 3_600_000): KeyedLease => {
    const keeper = new KeyedLease(on, lease, {
      renewMarginMs: marginMs,
      log: quiet,
      clock: systemClock,
    });
    open.push({ close: () => keeper.stop() });
    return keeper;
  };
  /** Watches; `has` looks at the newest list. */
  const watch = (on: EtcdStore) => {
    const abort = new AbortController();
    const seen: { snapshot?: Snapshot; errors: number; count: number } = { errors: 0, count: 0 };
    open.push({ close: () => abort.abort() });
    on.watch(
      (snapshot) => {
        seen.snapshot = snapshot;
        seen.count++;
      },
      () => {
        seen.errors++;
      },
      abort.signal,
    );
    const keys = (): string =>
      (seen.snapshot?.leases ?? [])
        .map(({ key }) => key)
        .sort()
        .join();
    return { seen, keys };
  };

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'weft-etcd-'));
    server = await EtcdServer.startAlone(folder);
    ctl = server.ctl();
  });
  afterEach(async () => {
    for (const one of open.splice(0)) await one.close();
    await ctl.delete(PREFIX, '--prefix');
  });
  after(async () => {
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  test('KEY-1, VAL-1, ACQ-6 key, value bytes and TTL as flanneld writes them; no foreign key is overwritten', async () => {
    const lease = await acquireLease(store(), config, attributes('192.0.2.9'), undefined);
    const written = await ctl.get(`${PREFIX}/subnets/${lease.key}`);
    assert.equal(written?.value, VALUE);
    assert.equal(written.version, 1);
    const { leftS, grantedS } = await ctl.timeToLive(written.lease);
    assert.equal(grantedS, 86_400);
    assert.ok(leftS > 86_300 && leftS <= 86_400);
    assert.equal(await store().create(lease.key, 'other', 60_000), 'exists');
    assert.equal((await ctl.get(`${PREFIX}/subnets/${lease.key}`))?.value, VALUE);
    const { stdout } = await ctl.run('lease', 'list');
    assert.match(stdout, /found 1 leases/, 'the lease of the lost race was revoked');
  });

  test('KEY-1 a dual-stack key keeps its colons', async () => {
    const dual = parseNetworkConfig(
      '{"Network":"10.3.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:3::/48","Backend":{"Type":"vxlan"}}',
    );
    const own = { ...attributes('192.0.2.9'), publicIp6: words('fd50::9') };
    const { key } = await acquireLease(store(), dual, own, undefined);
    assert.match(key, /^10\.3\.\d+\.0-24&fd00:3:0:[0-9a-f]+::-64$/);
    assert.ok(
      (await ctl.get(`${PREFIX}/subnets/${key}`))?.value.includes('"PublicIPv6":"fd50::9"'),
    );
  });

  test('A-13 IPv6-only nodes are told apart by their IPv6 address', async () => {
    const six = parseNetworkConfig(
      '{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:3::/48","Backend":{"Type":"vxlan"}}',
    );
    const own = (ip: string): LeaseAttributes => ({ backendType: 'vxlan', publicIp6: words(ip) });
    const first = await acquireLease(store(), six, own('fd50::1'), undefined);
    const second = await acquireLease(store(), six, own('fd50::2'), undefined);
    assert.notEqual(first.key, second.key);
    assert.match(first.key, /^0\.0\.0\.0-0&fd00:3:/);
    assert.equal((await acquireLease(store(), six, own('fd50::1'), undefined)).key, first.key);
  });

  test('ACQ-1, ACQ-2, ACQ-3 a free one of the range, the same again, the previous one, a new range', async () => {
    for (const i of [1, 2, 4, 5])
      await ctl.put(`${PREFIX}/subnets/10.3.${i}.0-24`, `{"PublicIP":"192.0.2.${i}"}`);
    const on = store();
    const last = () => 0.99;
    const lease = await acquireLease(on, config, attributes('192.0.2.9'), undefined, last);
    assert.equal(lease.key, '10.3.25.0-24');
    assert.equal(
      (await acquireLease(on, config, attributes('192.0.2.9'), undefined)).key,
      lease.key,
    );
    const wanted = async (ip: string, previous: string): Promise<string> => {
      const subnet4 = prefix(previous);
      return (await acquireLease(on, config, attributes(ip), { subnet4 })).key;
    };
    assert.equal(await wanted('192.0.2.10', '10.3.6.0/24'), '10.3.6.0-24');
    assert.notEqual(await wanted('192.0.2.11', '10.3.6.0/24'), '10.3.6.0-24', 'held by another');
    assert.notEqual(await wanted('192.0.2.12', '10.4.1.0/24'), '10.4.1.0-24', 'outside');
    const moved = parseNetworkConfig('{"Network":"10.4.0.0/16","Backend":{"Type":"vxlan"}}');
    const next = await acquireLease(on, moved, attributes('192.0.2.9'), undefined);
    assert.match(next.key, /^10\.4\./);
    assert.equal(await ctl.get(`${PREFIX}/subnets/${lease.key}`), undefined);
  });

  test('ACQ-4 no free subnet is said', async () => {
    const small = parseNetworkConfig('{"Network":"10.3.0.0/28","Backend":{"Type":"vxlan"}}');
    for (const last of [4, 8, 12])
      await ctl.put(`${PREFIX}/subnets/10.3.0.${last}-30`, '{"PublicIP":"192.0.2.1"}');
    const late = acquireLease(store(), small, attributes('192.0.2.9'), undefined);
    await assert.rejects(late, { code: 'ERR_OUT_OF_SUBNETS', exitCode: 1 });
  });

  test('ACQ-5 of two nodes that choose the same subnet at once one takes another', async () => {
    const first = () => 0;
    const nodes = [1, 2, 3, 4].map((i) =>
      acquireLease(store(), config, attributes(`192.0.2.${i}`), undefined, first),
    );
    const keys = (await Promise.all(nodes)).map((lease) => lease.key);
    assert.equal(new Set(keys).size, 4, keys.join());
  });

  test('ACQ-7 a reservation without lease is used and stays permanent, also over a renewal', async () => {
    await ctl.put(`${PREFIX}/subnets/10.3.7.0-24`, '{"PublicIP":"192.0.2.9","PublicIPv6":null}');
    const on = store();
    const lease = await acquireLease(on, config, attributes('192.0.2.9'), undefined);
    assert.deepEqual([lease.key, lease.isPermanent], ['10.3.7.0-24', true]);
    const written = await ctl.get(`${PREFIX}/subnets/10.3.7.0-24`);
    assert.deepEqual([written?.value, written?.lease], [VALUE, '']);
    await keeperOf(on, lease).publish(attributes('192.0.2.19'));
    const moved = await ctl.get(`${PREFIX}/subnets/10.3.7.0-24`);
    assert.match(moved?.value ?? '', /192\.0\.2\.19/);
    assert.equal(moved?.lease, '');
  });

  test('REN-1 renewal: full TTL again, same value, a new etcd lease', async () => {
    const on = store();
    const lease = await acquireLease(on, config, attributes('192.0.2.9'), undefined);
    const before = await ctl.get(`${PREFIX}/subnets/${lease.key}`);
    keeperOf(on, lease, 86_400_000 - 1_000);
    await until('renewed', async () => {
      const now = await ctl.get(`${PREFIX}/subnets/${lease.key}`);
      return now?.version === 2;
    });
    const now = await ctl.get(`${PREFIX}/subnets/${lease.key}`);
    assert.equal(now?.value, before?.value);
    assert.notEqual(now?.lease, before?.lease);
    assert.equal((await ctl.timeToLive(now?.lease ?? '')).grantedS, 86_400);
  });

  test('A-22 a renewal never overwrites another node; the foreign value is noticed', async () => {
    const on = store();
    const lease = await acquireLease(on, config, attributes('192.0.2.9'), undefined);
    const keeper = keeperOf(on, lease, 86_400_000 - 1_500);
    const foreign = '{"PublicIP":"192.0.2.66","PublicIPv6":null}';
    await ctl.put(`${PREFIX}/subnets/${lease.key}`, foreign);
    assert.equal(keeper.observe(parseLeases(await on.list())), false);
    assert.equal(keeper.state, 'taken');
    await new Promise((resolve) => setTimeout(resolve, 3_000)); // the renewal's time comes and goes
    assert.equal((await ctl.get(`${PREFIX}/subnets/${lease.key}`))?.value, foreign);
    await ctl.put(`${PREFIX}/subnets/${lease.key}`, VALUE.replace('8f:44', '8f:45'));
    assert.equal(keeper.observe(parseLeases(await on.list())), false, 'one address, two nodes');
    await ctl.delete(`${PREFIX}/subnets/${lease.key}`);
    assert.equal(keeper.observe(parseLeases(await on.list())), false);
    await until('taken back', async () => keeper.observe(parseLeases(await on.list())));
    assert.equal(keeper.state, 'held');
  });

  test('REV-1 the own key deleted: the same subnet is taken back, unless another node has it', async () => {
    const on = store();
    const lease = await acquireLease(on, config, attributes('192.0.2.9'), undefined);
    const keeper = keeperOf(on, lease);
    const key = `${PREFIX}/subnets/${lease.key}`;
    await ctl.delete(key);
    keeper.observe(parseLeases(await on.list()));
    await until('put back', async () => (await ctl.get(key))?.value === VALUE);
    const { lease: id = '' } = (await ctl.get(key)) ?? {};
    assert.equal((await ctl.timeToLive(id)).grantedS, 86_400);
    await ctl.delete(key);
    await ctl.put(key.replace('0-24', '128-25'), '{"PublicIP":"192.0.2.66"}');
    assert.equal(keeper.observe(parseLeases(await on.list())), false);
    assert.equal(keeper.state, 'taken');
    assert.equal(await ctl.get(key), undefined);
  });

  test('WAT-1 added, changed, expired, removed; equal keys keep their object', async () => {
    const on = store();
    const { seen, keys } = watch(on);
    await until('first list', () => seen.count > 0);
    await ctl.put(`${PREFIX}/subnets/10.3.1.0-24`, VALUE);
    await until('added', () => keys() === '10.3.1.0-24');
    const object = seen.snapshot?.leases[0];
    await ctl.put(`${PREFIX}/subnets/10.3.2.0-24`, VALUE, await ctl.grant(3));
    await until('second', () => keys() === '10.3.1.0-24,10.3.2.0-24');
    assert.equal(seen.snapshot?.leases[0], object);
    await until('expired', () => keys() === '10.3.1.0-24');
    await ctl.put(`${PREFIX}/subnets/10.3.1.0-24`, 'changed');
    await until('changed', () => seen.snapshot?.leases[0]?.value === 'changed');
    await ctl.delete(`${PREFIX}/subnets/10.3.1.0-24`);
    await until('removed', () => keys() === '');
    assert.equal(seen.errors, 0);
  });

  test('WAT-2 compaction while disconnected: listed again, changes and removals seen', async () => {
    await ctl.put(`${PREFIX}/subnets/10.3.1.0-24`, VALUE);
    await ctl.put(`${PREFIX}/subnets/10.3.2.0-24`, VALUE);
    const { seen, keys } = watch(store());
    await until('both', () => keys() === '10.3.1.0-24,10.3.2.0-24');
    await server.kill();
    await until('away', () => seen.errors > 0);
    // A server on another port works on the same data, unseen by the watcher.
    const hidden = new EtcdServer({ ...server.options, clientPort: server.options.clientPort + 1 });
    await hidden.start();
    await hidden.waitUntilServing();
    const aside = hidden.ctl();
    await aside.delete(`${PREFIX}/subnets/10.3.1.0-24`);
    await aside.put(`${PREFIX}/subnets/10.3.2.0-24`, 'changed');
    await aside.compact();
    await hidden.stop();
    await server.start();
    await until('seen', () => keys() === '10.3.2.0-24');
    assert.equal(seen.snapshot?.leases[0]?.value, 'changed');
    const { count } = seen;
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    assert.ok(seen.count - count <= 1, 'no hot loop');
  });

  test('WAT-2 compaction under a running watch does no harm', async () => {
    const { keys, seen } = watch(store());
    await until('first list', () => seen.count > 0);
    for (let i = 1; i <= 5; i++) await ctl.put(`${PREFIX}/subnets/10.3.${i}.0-24`, VALUE);
    await ctl.compact();
    await ctl.put(`${PREFIX}/subnets/10.3.6.0-24`, VALUE);
    await until('all six', () => keys().split(',').length === 6);
    assert.equal(seen.errors, 0);
  });

  test('WAT-3 etcd killed and started again: the watch goes on, nobody is lost', async () => {
    await ctl.put(`${PREFIX}/subnets/10.3.1.0-24`, VALUE);
    const { seen, keys } = watch(store());
    await until('first', () => keys() === '10.3.1.0-24');
    await server.kill();
    await until('away', () => seen.errors > 0);
    assert.equal(keys(), '10.3.1.0-24');
    await server.start();
    await server.waitUntilServing();
    await ctl.put(`${PREFIX}/subnets/10.3.2.0-24`, VALUE);
    await until('second', () => keys() === '10.3.1.0-24,10.3.2.0-24');
  });

  test('WAT-3 etcd frozen: calls end by their time-out; thawed, the watch goes on', async () => {
    const on = store();
    const { seen, keys } = watch(on);
    await until('first list', () => seen.count > 0);
    server.pause();
    try {
      await assert.rejects(on.readConfig(), { code: 'ERR_STORE_UNAVAILABLE' });
      await until('noticed by the watch', () => seen.errors > 0, 60_000);
    } finally {
      server.resume();
    }
    await server.waitUntilServing();
    await ctl.put(`${PREFIX}/subnets/10.3.1.0-24`, VALUE);
    await until('seen', () => keys() === '10.3.1.0-24');
  });

  test('outages leave no connection behind', async () => {
    const own = await EtcdServer.startAlone(path.join(folder, 'outages'));
    open.push({ close: () => own.stop() });
    const on = new EtcdStore(settingsFor([own.endpoint]));
    const { seen } = watch(on);
    open.push(on);
    await until('first list', () => seen.count > 0);
    const connections = (): number =>
      descriptorsOf(process.pid)[`tcp to ${own.options.clientPort}`] ?? 0;
    await until('one connection', () => connections() === 1);
    for (let round = 0; round < 2; round++) {
      const { errors } = seen;
      await own.kill();
      // As often as a daemon asks within a minute; each call finds nobody there.
      for (let i = 0; i < 20; i++) await on.readConfig().catch(() => undefined);
      await until('away', () => seen.errors > errors);
      const { count } = seen;
      await own.start();
      await until('back', () => seen.count > count);
      await on.readConfig();
    }
    // Whoever was left waiting for its next try has made it by then.
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    assert.equal(connections(), 1);
  });

  test('WAT-4 junk under the prefix takes nobody away', async () => {
    const { seen, keys } = watch(store());
    await until('first list', () => seen.count > 0);
    await ctl.put(`${PREFIX}/subnets/10.3.1.0-24`, VALUE);
    await ctl.put(`${PREFIX}/subnets/hello`, 'junk');
    await ctl.put(`${PREFIX}/subnets/10.3.2.0-24`, `{"PublicIP":"${'9'.repeat(20_000)}"}`);
    await until('all', () => keys() === '10.3.1.0-24,10.3.2.0-24,hello');
    const other = await acquireLease(store(), config, attributes('192.0.2.8'), undefined);
    assert.notEqual(other.key, '10.3.1.0-24');
  });

  test('WAT-5 a closed watch ends at once', async () => {
    const on = store();
    const { seen } = watch(on);
    await until('first list', () => seen.count > 0);
    await open.pop()?.close();
    const { count } = seen;
    await ctl.put(`${PREFIX}/subnets/10.3.1.0-24`, VALUE);
    await ctl.get('x');
    assert.equal(seen.count, count);
  });

  test('a wiped etcd is listed as empty, a restored one as it is', async () => {
    await ctl.put(`${PREFIX}/subnets/10.3.1.0-24`, VALUE);
    const { seen, keys } = watch(store());
    await until('first', () => keys() === '10.3.1.0-24');
    await server.wipe();
    await server.start();
    await server.waitUntilServing();
    await until('empty', () => seen.snapshot?.leases.length === 0);
    await ctl.put(`${PREFIX}/subnets/10.3.5.0-24`, VALUE);
    await until('again', () => keys() === '10.3.5.0-24');
  });

  test('a wiped etcd counts from one again: another value under an old revision is seen', async () => {
    const own = await EtcdServer.startAlone(path.join(folder, 'recount'));
    open.push({ close: () => own.stop() });
    const on = new EtcdStore(settingsFor([own.endpoint]));
    open.push(on);
    const key = `${PREFIX}/subnets/10.3.1.0-24`;
    await own.ctl().put(key, 'before');
    const { seen } = watch(on);
    await until('before', () => seen.snapshot?.leases[0]?.value === 'before');
    const revision = seen.snapshot?.leases[0]?.revision;
    await own.wipe();
    await own.start();
    await own.waitUntilServing();
    await own.ctl().put(key, 'after');
    await until('after', () => seen.snapshot?.leases[0]?.value === 'after');
    assert.equal(seen.snapshot?.leases[0]?.revision, revision);
  });

  test('expiry, compare on replace and delete', async () => {
    const on = store();
    await on.create('10.3.1.0-24', 'a', 60_000);
    const [lease] = (await on.list()).leases;
    assert.ok(lease);
    const expiry = await on.expiry(lease.key);
    assert.ok(expiry && expiry > Date.now() + 50_000 && expiry <= Date.now() + 60_000);
    assert.equal(await on.expiry('10.3.9.0-24'), undefined);
    assert.equal((await on.replace(lease.key, 'b', undefined, '1')).ok, false);
    const replaced = await on.replace(lease.key, 'b', undefined, lease.revision);
    assert.ok(replaced.ok);
    assert.equal(await on.delete(lease.key, lease.revision), false);
    assert.equal(await on.delete(lease.key, replaced.revision), true);
    assert.equal(await on.delete(lease.key), true);
    await assert.rejects(on.create('../config', 'x', undefined), /not a lease key/);
  });

  test('CFG-8 no config yet is undefined, an endpoint list is gone through', async () => {
    const on = new EtcdStore(settingsFor(['http://127.0.0.1:1', server.endpoint]));
    open.push(on);
    assert.equal(await on.readConfig(), undefined);
    await ctl.put(`${PREFIX}/config`, '{"Network":"10.3.0.0/16"}');
    assert.equal(await on.readConfig(), '{"Network":"10.3.0.0/16"}');
  });

  test('etcd away: the message names endpoints and what to check', async () => {
    const on = new EtcdStore(settingsFor(['http://127.0.0.1:1'], {}));
    open.push(on);
    await assert.rejects(on.list(), {
      code: 'ERR_STORE_UNAVAILABLE',
      exitCode: 69,
      message: /127\.0\.0\.1:1.*check --etcd-endpoints/,
    });
  });
});
