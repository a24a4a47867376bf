/** Which devices and routes of earlier runs go: on answers of `ip` that are made up. Real ones: test/netns/leftovers.test.ts. */
import assert from 'node:assert/strict';
import { linkSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import type { Exec } from '../../../src/host/exec.ts';
import { removeLeftovers } from '../../../src/host/leftovers.ts';
import { processesNamed } from '../../../src/host/processes.ts';
import { RouteKeeper } from '../../../src/host/routes.ts';
import { type Prefix, parsePrefix } from '../../../src/shared/address.ts';
import { temporaryFolder } from '../../support/folder.ts';
import { words } from '../../support/rig.ts';

const prefix = (text: string): Prefix => parsePrefix(text) as Prefix;

function tun(ifname: string, address: string, numqueues: number): object {
  const [local, length] = address.split('/');
  return {
    ...{ ifindex: 1, ifname, flags: ['UP'], mtu: 1450 },
    linkinfo: { info_kind: 'tun', info_data: { type: 'tun', multi_queue: true, numqueues } },
    addr_info: [{ family: 'inet', local, prefixlen: Number(length), scope: 'global' }],
  };
}

/** Answers by arguments, and notes what changes something. */
function host(links: object[], routes: object[]): { run: Exec; done: string[] } {
  const done: string[] = [];
  const run: Exec = async (_command, args) => {
    if (args.includes('addr')) return JSON.stringify(links);
    if (args.includes('show')) return JSON.stringify(args.includes('-4') ? routes : []);
    done.push(args.join(' '));
    return '';
  };
  return { run, done };
}

test('a device that nobody reads goes where its address is ours, or its name was; all others stay', async () => {
  const links = [
    tun('flannel.1', '10.244.1.0/32', 2),
    tun('flannel0', '10.244.1.0/32', 0),
    tun('flannel.5', '10.9.1.0/32', 0),
    tun('flannel.2', '10.245.1.0/32', 0),
    tun('flannel.3', '10.244.1.0/32', 1),
    tun('flannel.9', '10.1.1.0/32', 0),
    { ...tun('flannel.4', '10.244.7.0/32', 0), linkinfo: { info_kind: 'vxlan' } },
    tun('tun0', '10.244.9.0/32', 0),
  ];
  const { run, done } = host(links, []);
  const scope = { used: ['flannel.1'], known: ['flannel.9'] };
  const ranges = { networks: [prefix('10.244.0.0/16')], previous: [prefix('10.9.0.0/16')] };
  const removed = await removeLeftovers({ ...scope, ...ranges }, run);
  assert.deepEqual(removed, ['device flannel0', 'device flannel.5', 'device flannel.9']);
  assert.equal(done.length, 3);
});

test("routes go where they lie in the earlier Network only: the present one's are the route keeper's", async () => {
  const routes = [
    { dst: '10.244.2.0/24', dev: 'eth0', protocol: '86' },
    { dst: '10.9.0.0/16', type: 'blackhole', protocol: '86', metric: 4_294_967_294 },
    { dst: '10.8.0.0/16', dev: 'flannel.2', protocol: '86' },
  ];
  const { run, done } = host([], routes);
  const ranges = { networks: [prefix('10.244.0.0/16')], previous: [prefix('10.9.0.0/16')] };
  const removed = await removeLeftovers({ used: [], known: [], ...ranges }, run);
  assert.deepEqual(removed, ['route 10.9.0.0/16']);
  assert.deepEqual(done, ['-4 route del blackhole 10.9.0.0/16 proto 86 metric 4294967294']);
});

test('routes yield: those of our devices become blackholes, the others stay, all with the worst metric', async () => {
  let batch = '';
  const run: Exec = async (_command, args, input) => {
    if (args.includes('-batch')) batch = input ?? '';
    return '[]';
  };
  const keeper = new RouteKeeper([prefix('10.244.0.0/16')], [4], run);
  keeper.set('overlay', [{ prefix: prefix('10.244.0.0/16'), device: 'flannel.1' }]);
  const gateway = words('192.0.2.2');
  keeper.set('direct', [{ prefix: prefix('10.244.2.0/24'), gateway, device: 'eth0' }]);
  keeper.set('blackhole', [{ prefix: prefix('10.244.1.0/24') }]);
  await keeper.yield(['flannel.1']);
  assert.deepEqual(batch.trimEnd().split('\n'), [
    'route replace blackhole 10.244.0.0/16 proto 86 metric 4294967294',
    'route replace 10.244.2.0/24 via 192.0.2.2 dev eth0 proto 86 metric 4294967294',
    'route replace blackhole 10.244.1.0/24 proto 86 metric 4294967294',
    'route del 10.244.2.0/24 via 192.0.2.2 dev eth0 proto 86',
    'route del blackhole 10.244.1.0/24 proto 86 metric 4294967293',
  ]);
});

test("a blackhole has a metric with which the pods' bridge wins; one of an earlier release goes", async () => {
  let batch = '';
  const run: Exec = async (_command, args, input) => {
    if (args.includes('-batch')) batch = input ?? '';
    return JSON.stringify([{ dst: '10.244.1.0/24', type: 'blackhole', protocol: '86' }]);
  };
  const keeper = new RouteKeeper([prefix('10.244.0.0/16')], [4], run);
  keeper.set('blackhole', [{ prefix: prefix('10.244.1.0/24') }]);
  await keeper.sync();
  assert.deepEqual(batch.trimEnd().split('\n'), [
    'route del blackhole 10.244.1.0/24 proto 86',
    'route replace blackhole 10.244.1.0/24 proto 86 metric 4294967293',
  ]);
});

test('processes by name: with their command line, and whether they are on our network', async (t) => {
  const proc = await temporaryFolder(t);
  const add = (pid: string, comm: string, cmdline: string, namespace?: string): void => {
    mkdirSync(path.join(proc, pid, 'net'), { recursive: true });
    writeFileSync(path.join(proc, pid, 'comm'), `${comm}\n`);
    writeFileSync(path.join(proc, pid, 'cmdline'), cmdline);
    if (namespace) linkSync(path.join(proc, namespace), path.join(proc, pid, 'net/dev'));
  };
  for (const namespace of ['ours', 'theirs']) writeFileSync(path.join(proc, namespace), '');
  add('self', 'node', 'node\0', 'ours');
  add('7', 'flanneld', '/opt/flanneld\0--ip-masq\0', 'ours');
  add('8', 'flanneld', 'flanneld\0', 'theirs');
  add('9', 'flanneld', 'flanneld\0');
  add('10', 'flanneld', '', 'ours');
  add('11', 'bash', 'flanneld\0', 'ours');
  const found = await processesNamed(/^flanneld$/, proc);
  assert.deepEqual(
    found
      .sort((a, b) => a.pid - b.pid)
      .map(({ pid, command, sharesNetwork }) => [pid, command, sharesNetwork]),
    [
      [7, '/opt/flanneld --ip-masq', true],
      [8, 'flanneld', false],
      [9, 'flanneld', undefined],
    ],
  );
});
