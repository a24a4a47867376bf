/** The daemon's order of things without root: a made-up host, a toy registry and a clock that the test moves. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { Daemon } from '../../../src/control/daemon.ts';
import { FdStore } from '../../../src/control/manager/fd-store.ts';
import type { News } from '../../../src/host/kernel-news.ts';
import { loadAddon } from '../../../src/memory/addon.ts';
import { parseFlags } from '../../../src/options/flags.ts';
import { toSettings } from '../../../src/options/settings.ts';
import { formatAddress } from '../../../src/shared/address.ts';
import { EXIT, WeftError } from '../../../src/shared/errors.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { keepLog } from '../../support/log-lines.ts';
import { MadeUpHost, underlay } from '../../support/made-up-host.ts';
import { ToyRegistry, toyLease } from '../../support/toy-registry.ts';
import { until } from '../../support/until.ts';

const CONFIG = '{"Network":"10.244.0.0/16","Backend":{"Type":"host-gw"}}';
const UPKEEP_MS = 30_000;
const SETTLE_MS = 3_000;
const GRACE_MS = 600_000;

function setUp(t: TestContext, config: string | undefined = CONFIG) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'weft-daemon-'));
  const subnetFile = path.join(folder, 'subnet.env');
  const parsed = parseFlags(
    [
      `--admin-socket=${folder}/weft.sock`,
      `--subnet-file=${subnetFile}`,
      `--state-dir=${folder}`,
      '--healthz-port=0',
    ],
    {},
  );
  assert.ok(parsed.kind === 'run');
  const { log, messages } = keepLog();
  const addon = loadAddon();
  const registry = new ToyRegistry();
  registry.config = config;
  const host = new MadeUpHost(registry.calls);
  const clock = new FakeClock();
  const daemon = new Daemon({
    settings: toSettings(parsed.values),
    options: [],
    registry,
    log,
    addon,
    fds: new FdStore(addon),
    clock,
    host,
  });
  let stopped: Promise<void> | undefined;
  const stop = () => (stopped ??= daemon.stop());
  t.after(async () => {
    await stop();
    rmSync(folder, { recursive: true, force: true });
  });
  return { daemon, registry, host, clock, messages, subnetFile, stop };
}

test('the start reads first, then takes the host, then the lease, then rules; the end goes backwards', async (t) => {
  const { daemon, registry, subnetFile, stop } = setUp(t);
  assert.equal(daemon.whyNotReady(), 'starting');
  await daemon.start();
  assert.deepEqual(registry.calls.slice(0, 7), [
    'checkPermission',
    'harden',
    'backend.open',
    'join',
    'backend.start',
    'startRules',
    'nodeReady',
  ]);
  assert.equal(daemon.whyNotReady(), '');
  assert.match(readFileSync(subnetFile, 'utf8'), /FLANNEL_SUBNET=10\.244\.1\.1\/24/);
  await stop();
  assert.deepEqual(registry.calls.slice(-2), ['backend.close', 'registry.close']);
});

test('a missing network config and a registry that does not answer are waited for, and say so', async (t) => {
  const { daemon, registry, clock } = setUp(t, '');
  registry.config = undefined;
  const started = daemon.start();
  await until('the start waits', () => daemon.waitsFor !== '');
  assert.equal(daemon.phase, 'waiting for the network config');
  assert.match(daemon.waitsFor, /no network config yet; write the test/);
  registry.failure = new WeftError('ERR_STORE_UNAVAILABLE', EXIT.unavailable, 'gone fishing');
  await clock.move(1_000);
  assert.equal(daemon.waitsFor, 'gone fishing');
  assert.ok(!registry.calls.includes('backend.open'), 'nothing was taken from the host');
  registry.failure = undefined;
  registry.config = CONFIG;
  await clock.move(1_000);
  await started;
  assert.equal(daemon.waitsFor, '');
  assert.equal(daemon.phase, '');
});

test('an error that waiting does not cure ends the start', async (t) => {
  const { daemon, registry } = setUp(t);
  registry.failure = new WeftError('ERR_OUT_OF_SUBNETS', EXIT.failure, 'out of subnets');
  await assert.rejects(daemon.start(), { code: 'ERR_OUT_OF_SUBNETS' });
  assert.ok(!registry.calls.includes('backend.open'));
});

test('a stop while the start waits ends it, without taking anything', async (t) => {
  const { daemon, registry, stop } = setUp(t, '{}{');
  const started = daemon.start();
  started.catch(() => undefined);
  await until('the start waits', () => daemon.waitsFor !== '');
  await stop();
  await assert.rejects(started);
  assert.ok(!registry.calls.includes('backend.open'));
});

test('peers follow the registry; one that vanishes is held for a moment, many for ten minutes', async (t) => {
  const { daemon, registry, host, clock } = setUp(t);
  await daemon.start();
  registry.put(...[2, 3, 4, 5, 6].map((n) => toyLease(n)));
  await settle();
  assert.deepEqual(host.inForce, ['node-2', 'node-3', 'node-4', 'node-5', 'node-6']);
  registry.remove('node-2');
  await settle();
  assert.ok(host.inForce.includes('node-2'));
  assert.equal(daemon.held, 1);
  await clock.move(SETTLE_MS);
  assert.deepEqual(host.inForce, ['node-3', 'node-4', 'node-5', 'node-6']);
  registry.remove('node-3', 'node-4', 'node-5');
  await settle();
  await clock.move(SETTLE_MS);
  assert.equal(daemon.held, 3, 'three at once: the store is being wiped');
  assert.equal(host.inForce.length, 4);
  await clock.move(GRACE_MS);
  assert.deepEqual(host.inForce, ['node-6']);
  assert.equal(daemon.held, 0);
});

test('a registry that breaks down leaves the table as it is, and what vanished meanwhile is held', async (t) => {
  const { daemon, registry, host, clock, messages } = setUp(t);
  await daemon.start();
  registry.put(toyLease(2), toyLease(3));
  await settle();
  registry.remove('node-2');
  await settle();
  registry.breakDown(new Error('connection lost'));
  assert.deepEqual([daemon.store.ok, daemon.store.message], [false, 'connection lost']);
  await clock.move(SETTLE_MS * 2);
  assert.ok(host.inForce.includes('node-2'), 'its end waits until the registry is back');
  assert.equal(daemon.whyNotReady(), '', 'that the store is unavailable is not a reason');
  registry.put(toyLease(3));
  await settle();
  assert.ok(daemon.store.ok);
  assert.ok(messages.includes('the store is back'));
  assert.ok(host.inForce.includes('node-2'), 'the doubt lasts for the grace time');
});

test('a registry that was never reached is unavailable from the start on, until it answers', async (t) => {
  const { daemon, registry, clock } = setUp(t);
  const since = new Date(clock.nowMs());
  assert.deepEqual(daemon.store, {
    ...{ ok: false, message: 'no answer yet' },
    ...{ since, lastEventAt: undefined },
  });
  registry.failure = new WeftError('ERR_STORE_UNAVAILABLE', EXIT.unavailable, 'gone fishing');
  const started = daemon.start();
  await until('the start waits', () => daemon.waitsFor !== '');
  await clock.move(1_000);
  assert.deepEqual([daemon.store.message, daemon.store.since], ['gone fishing', since]);
  registry.failure = undefined;
  await clock.move(1_000);
  await started;
  assert.deepEqual([daemon.store.ok, daemon.store.message], [true, '']);
  assert.equal(daemon.store.since.getTime(), since.getTime() + 2_000);
});

test('an outage is logged once for each reason, whatever numbers are in it; the next outage again', async (t) => {
  const { daemon, registry, messages } = setUp(t);
  await daemon.start();
  registry.put(toyLease(2));
  const reasons = ['refused by :1', 'refused by :2', 'authentication failed', 'refused by :1'];
  for (const reason of [...reasons, 'refused by :1']) registry.breakDown(new Error(reason));
  const said = () => messages.filter((text) => / goes on with what was known/.test(text));
  assert.deepEqual(
    said().map((text) => text.split(';')[0]),
    ['refused by :1', 'authentication failed'],
  );
  assert.equal(daemon.store.message, 'refused by :1');
  registry.put(toyLease(3));
  registry.breakDown(new Error('refused by :1'));
  assert.equal(said().length, 3);
});

test('a registry whose watch ends for good ends the daemon', async (t) => {
  const { daemon, registry } = setUp(t);
  await daemon.start();
  registry.breakDown(new WeftError('ERR_START_AGAIN', EXIT.again, 'our subnet was given away'));
  await assert.rejects(daemon.failed, { exitCode: 75 });
});

test('leases that did not become peers are known with the reason, and who has our own address', async (t) => {
  const { daemon, registry } = setUp(t);
  await daemon.start();
  const twin = { ...toyLease(9), attributes: toyLease(1).attributes };
  registry.put(toyLease(2), toyLease(3, { backendType: 'udp' }), twin);
  await settle();
  assert.deepEqual(
    daemon.peers.map(({ key }) => key),
    ['node-2'],
  );
  assert.deepEqual(
    daemon.skipped.map(({ key }) => key),
    ['node-3'],
  );
  assert.deepEqual(daemon.twins, ['node-9']);
  registry.remove('node-3', 'node-9');
  await settle();
  assert.deepEqual([daemon.skipped, daemon.twins], [[], []]);
});

test("the registry's clock is compared each minute; one that can't be read is not known", async (t) => {
  const { daemon, registry, clock } = setUp(t);
  await daemon.start();
  await settle();
  assert.equal(daemon.clockAheadMs, 0);
  registry.clockAheadMs = -7_200_000;
  await clock.move(60_000);
  assert.equal(daemon.clockAheadMs, -7_200_000);
  registry.failure = new Error('gone');
  await clock.move(60_000);
  assert.equal(daemon.clockAheadMs, undefined);
});

test('settings by which the kernel does not forward are a problem', async (t) => {
  const { daemon, host } = setUp(t);
  await daemon.start();
  assert.equal(daemon.problems.forwarding, '');
  host.forwardingProblem = () => 'net/ipv4/ip_forward=0';
  assert.equal(daemon.problems.forwarding, 'net/ipv4/ip_forward=0');
});

test('a list that comes after the end changes nothing', async (t) => {
  const { daemon, registry, host, stop } = setUp(t);
  await daemon.start();
  registry.put(toyLease(2));
  await stop();
  const before = host.inForce;
  registry.put(toyLease(3));
  await settle();
  assert.equal(host.inForce, before);
});

test('a new address of the underlay is followed and announced', async (t) => {
  const { daemon, registry, host, clock, subnetFile } = setUp(t);
  await daemon.start();
  host.external = underlay('192.0.2.77', { mtu: 1400 });
  await clock.move(UPKEEP_MS);
  assert.ok(registry.calls.includes('backend.move 192.0.2.77'));
  assert.equal(daemon.external?.mtu, 1400);
  const published = registry.get('node-1')?.attributes.publicIp4;
  assert.equal(published && formatAddress(published), '192.0.2.77');
  await until('the subnet file has the MTU', () =>
    /FLANNEL_MTU=1400/.test(readFileSync(subnetFile, 'utf8')),
  );
  const [notice] = registry.notices;
  assert.equal(notice?.reason, 'UnderlayChanged');
  assert.match(notice?.text ?? '', /from eth0 .*MTU 1500 to eth0 192\.0\.2\.77, MTU 1400/);
});

test('another subnet than that of the run before: pods that live are told of', async (t) => {
  const { daemon, registry, subnetFile, messages } = setUp(t);
  const text = 'FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.9.1/24\n';
  writeFileSync(subnetFile, text);
  await daemon.start();
  const said =
    "The pods' subnet was 10.244.9.0/24 and is 10.244.1.0/24: pods with addresses of the old one must be made anew";
  assert.deepEqual(registry.notices, [{ reason: 'PodSubnetChanged', isWarning: true, text: said }]);
  assert.ok(messages.includes(said));
});

test('a move that fails is announced all the same, and the host is put right at the next look', async (t) => {
  const { daemon, registry, host, clock, messages } = setUp(t);
  await daemon.start();
  await settle();
  host.external = underlay('192.0.2.77');
  host.moveFailure = new Error('address not usable yet');
  await clock.move(UPKEEP_MS);
  await until('the failure is a problem', () => daemon.problems.host !== '');
  assert.match(daemon.problems.host, /address not usable yet/);
  assert.ok(messages.includes('upkeep of the underlay: address not usable yet'));
  const published = registry.get('node-1')?.attributes.publicIp4;
  assert.equal(published && formatAddress(published), '192.0.2.77');
  host.moveFailure = undefined;
  const healed = heals(registry);
  await clock.move(UPKEEP_MS);
  await until('the problem is gone', () => daemon.problems.host === '');
  assert.equal(heals(registry), healed + 1);
});

const heals = (registry: ToyRegistry): number =>
  registry.calls.filter((call) => call === 'backend.heal').length;

test('an underlay without an address keeps nothing else from being put right', async (t) => {
  const { daemon, registry, host, clock } = setUp(t);
  await daemon.start();
  await settle();
  host.addressFailure = new WeftError('ERR_NO_ADDRESS', EXIT.failure, 'eth0 has no address');
  const healed = heals(registry);
  await clock.move(UPKEEP_MS);
  await until('it is said', () => daemon.problems.host === 'eth0 has no address');
  assert.equal(heals(registry), healed + 1);
  host.healFailure = new Error('device busy');
  await clock.move(UPKEEP_MS);
  await until('both are said', () => /eth0.*; device busy/.test(daemon.problems.host));
});

test('an underlay that has no address yet is waited for, before anything is taken', async (t) => {
  const { daemon, registry, host, clock } = setUp(t);
  host.addressFailure = new WeftError('ERR_NO_ADDRESS', EXIT.failure, 'eth0 has no address');
  const started = daemon.start();
  await until('it waits', () => daemon.waitsFor === 'eth0 has no address');
  assert.equal(daemon.phase, 'waiting for an address in the underlay');
  assert.ok(!registry.calls.includes('backend.open'));
  host.addressFailure = undefined;
  await clock.move(1_000);
  await started;
  assert.equal(daemon.phase, '');
});

const news = (about: News['about'], change: Partial<News> = {}): News => ({
  about,
  gone: false,
  device: 0,
  table: 0,
  protocol: 0,
  ...change,
});

test('news of our own things are followed by a look at once, others of the host too, strangers never', async (t) => {
  const { daemon, registry, host, clock } = setUp(t);
  host.links = [
    { ifindex: 7, ifname: 'eth0', flags: ['UP'], mtu: 1500, addr_info: [] },
    { ifindex: 8, ifname: 'veth1', flags: ['UP'], mtu: 1500, addr_info: [] },
  ];
  await daemon.start();
  await settle();
  const looksAfter = async (...heard: News[]): Promise<number> => {
    const before = heals(registry);
    host.announce(heard);
    await clock.move(100);
    await settle();
    return heals(registry) - before;
  };
  for (const each of [
    news('link', { device: 7 }),
    news('address', { device: 7, gone: true }),
    news('address', { device: 8 }),
    news('route', { gone: true, table: 254, protocol: 86 }),
    news('route', { table: 254, protocol: 3 }),
    news('rule'),
    news('lost'),
  ]) {
    await clock.move(UPKEEP_MS * 2); // long quiet
    assert.equal(await looksAfter(each), 1, JSON.stringify(each));
  }
  for (const each of [
    news('link', { device: 8 }),
    news('route', { table: 254, protocol: 86 }),
    news('route', { table: 100, protocol: 3 }),
    news('firewall'),
  ]) {
    await clock.move(UPKEEP_MS * 2);
    assert.equal(await looksAfter(each), 0, JSON.stringify(each));
  }
});

test('the host is looked at every 5 s where no news are heard, or something is wrong; else every 30 s', async (t) => {
  for (const [newsProblem, isWrong, looks] of [
    ['', false, 2],
    ['', true, 14],
    ['nftables', false, 14],
  ] as const) {
    const { daemon, registry, host, clock, stop } = setUp(t);
    host.newsProblem = newsProblem;
    await daemon.start();
    await settle();
    if (isWrong)
      host.addressFailure = new WeftError('ERR_NO_ADDRESS', EXIT.failure, 'eth0 has no address');
    host.announce([news('lost')]);
    await clock.move(100);
    await settle();
    const before = heals(registry);
    await clock.move(70_000);
    await settle();
    assert.equal(heals(registry) - before, looks, `${newsProblem} ${isWrong}`);
    await stop();
  }
});

test('the end closes the news first', async (t) => {
  const { daemon, registry, stop } = setUp(t);
  await daemon.start();
  await stop();
  const order = ['news.close', 'backend.close', 'registry.close'];
  assert.deepEqual(
    registry.calls.filter((call) => order.includes(call)),
    order,
  );
});

test('another interface is not followed: it is said, in problems and once in the log', async (t) => {
  const { daemon, registry, host, clock, messages } = setUp(t);
  await daemon.start();
  host.external = underlay('198.51.100.1', { name: 'tun9' });
  await clock.move(UPKEEP_MS * 3);
  assert.match(daemon.problems.underlay, /tun9 would be the underlay now .*staying on eth0/);
  assert.equal(messages.filter((message) => message.includes('tun9')).length, 1);
  assert.ok(!registry.calls.some((call) => call.startsWith('backend.move')));
  host.external = underlay('192.0.2.1');
  await clock.move(UPKEEP_MS);
  assert.equal(daemon.problems.underlay, '');
});

test('a reload looks at the registry again and says what only a restart can change', async (t) => {
  const { daemon, registry, host, messages } = setUp(t);
  await daemon.start();
  registry.config = CONFIG.replace('host-gw', 'alloc');
  await daemon.reload();
  assert.ok(messages.includes('the network config changed; restart weftd to use it'));
  assert.ok(messages.includes('reloaded'));
  assert.deepEqual(host.inForce, []);
});
