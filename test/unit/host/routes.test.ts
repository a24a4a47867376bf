/** The route keeper's words and the search for routes that lie in front of ours, on canned `ip -j` output. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AddressedLink, IpRoute } from '../../../src/host/ip-json.ts';
import { RouteKeeper } from '../../../src/host/routes.ts';
import { describeShadow, shadowsOf } from '../../../src/host/shadowed-routes.ts';
import { prefix, words } from '../../support/rig.ts';

const NETWORK = prefix('10.244.0.0/16');
const SUBNET = prefix('10.244.7.0/24');

/** `ip` shows these routes, and fails a batch with this text where there is one. */
const ip =
  (routes: readonly IpRoute[], failure?: string) => async (_: string, args: readonly string[]) => {
    if (args[0] === '-j') return JSON.stringify(routes);
    if (failure !== undefined) throw new Error(`ip ${args.join(' ')}: ${failure}`);
    return '';
  };

async function synced(failure: string): Promise<RouteKeeper> {
  const keeper = new RouteKeeper([NETWORK], [4], ip([], failure));
  keeper.set(
    'peers',
    [7, 8, 9, 10, 11].map((n) => ({
      prefix: prefix(`10.244.${n}.0/24`),
      gateway: words(`192.0.2.${n}`),
      device: 'eth0',
      peer: `10.244.${n}.0-24`,
    })),
  );
  assert.equal(await keeper.sync(), '');
  return keeper;
}

test('a route that is refused is named with its node, its way and what helps', async () => {
  const { problem } = await synced('Error: Nexthop has invalid gateway.\nCommand failed -:2');
  assert.equal(
    problem,
    'no route to 10.244.8.0/24 (node 10.244.8.0-24) via 192.0.2.8 dev eth0: Nexthop has invalid gateway.; ' +
      '192.0.2.8 must be on the link of eth0: use vxlan, or its DirectRouting, for nodes behind a router',
  );
});

test('many refusals are three and a number; what is gone or there already is none', async () => {
  const line = (n: number, why: string): string =>
    `RTNETLINK answers: ${why}\nCommand failed -:${n}\n`;
  const unreachable = [1, 2, 3, 4, 5].map((n) => line(n, 'Network is unreachable')).join('');
  const { problem } = await synced(unreachable);
  assert.match(problem, /^no route to 10\.244\.7\.0.*10\.244\.9\.0.*; and 2 more$/);
  assert.equal((await synced(line(1, 'No such process') + line(3, 'File exists'))).problem, '');
  const mixed = line(1, 'File exists') + line(2, 'Network is unreachable');
  assert.match((await synced(mixed)).problem, /^no route to 10\.244\.8\.0\/24[^;]*; [^;]*$/);
});

test('a failure that names no line is told as it is', async () => {
  assert.match((await synced('command not found')).problem, /command not found/);
});

test('changes are carried out as they are asked for, without a look at the table', async () => {
  const batches: string[] = [];
  const keeper = new RouteKeeper([NETWORK], [4], async (_, args, input = '') => {
    assert.notEqual(args[0], '-j', 'no look');
    batches.push(input);
    return '';
  });
  const route = (n: number, gateway = `192.0.2.${n}`) => ({
    prefix: prefix(`10.244.${n}.0/24`),
    gateway: words(gateway),
    device: 'eth0',
  });
  keeper.change('peers', undefined, route(7));
  keeper.change('peers', undefined, route(8));
  keeper.change('peers', route(8), undefined);
  await keeper.syncChanges();
  assert.deepEqual(batches.splice(0), [
    'route replace 10.244.7.0/24 via 192.0.2.7 dev eth0 proto 86\n',
  ]);
  keeper.change('peers', route(7), route(7, '192.0.2.77'));
  await keeper.syncChanges();
  assert.deepEqual(batches.splice(0), [
    'route del 10.244.7.0/24 via 192.0.2.7 dev eth0 proto 86\n' +
      'route replace 10.244.7.0/24 via 192.0.2.77 dev eth0 proto 86\n',
  ]);
  keeper.change('peers', route(7, '192.0.2.77'), route(7, '192.0.2.77'));
  await keeper.syncChanges();
  assert.deepEqual(batches, [], 'nothing to do');
  assert.equal(keeper.bitsTo(SUBNET), 120);
});

test('a change that is refused is a problem until the route is wanted no more', async () => {
  const keeper = new RouteKeeper(
    [NETWORK],
    [4],
    ip([], 'RTNETLINK answers: Network is unreachable\nCommand failed -:1\n'),
  );
  const route = { prefix: SUBNET, gateway: words('192.0.2.7'), device: 'eth0', peer: 'node-7' };
  keeper.change('peers', undefined, route);
  await keeper.syncChanges();
  assert.match(keeper.problem, /no route to 10\.244\.7\.0\/24 \(node node-7\).*unreachable/);
  keeper.change('peers', route, undefined);
  assert.equal(keeper.problem, '');
});

async function shadows(foreign: readonly IpRoute[], ours = NETWORK) {
  const keeper = new RouteKeeper([NETWORK], [4], ip(foreign));
  keeper.set('overlay', [{ prefix: ours, device: 'flannel.1' }]);
  await keeper.sync();
  const found = shadowsOf(keeper, [{ key: 'node-7', subnet: SUBNET }], [prefix('10.244.1.0/24')]);
  return found.map(({ route }) => route.dst);
}

test('somebody else’s route is a shadow when it is more special than ours and touches a peer’s subnet', async () => {
  const route = (dst: string, dev = 'br-old'): IpRoute => ({ dst, dev, protocol: 'kernel' });
  assert.deepEqual(await shadows([route('10.244.7.0/24')]), ['10.244.7.0/24']);
  assert.deepEqual(await shadows([route('10.244.7.128/25')]), ['10.244.7.128/25']);
  assert.deepEqual(await shadows([route('10.244.7.9')]), ['10.244.7.9']);
  assert.deepEqual(
    await shadows([route('10.244.0.0/20')]),
    ['10.244.0.0/20'],
    'between ours and the subnet',
  );
  assert.deepEqual(await shadows([route('10.244.8.0/24')]), [], 'of no peer');
  assert.deepEqual(await shadows([route('10.244.1.0/24', 'cni0')]), [], 'our own pods');
  assert.deepEqual(await shadows([route('10.244.7.0/24', 'flannel.2')]), [], 'a device of ours');
  assert.deepEqual(await shadows([route('10.244.0.0/20')], SUBNET), [], 'ours is more special');
});

const bridge = (more: Partial<AddressedLink> = {}): AddressedLink => ({
  ifindex: 9,
  ifname: 'br-old',
  flags: ['UP'],
  mtu: 1500,
  linkinfo: { info_kind: 'bridge' },
  addr_info: [{ family: 'inet', local: '10.244.7.1', prefixlen: 24, scope: 'global' }],
  ...more,
});

test('a shadow is described with device and address; only an empty bridge is said to be removable', () => {
  const route = { dst: '10.244.7.0/24', dev: 'br-old', protocol: 'kernel' };
  const shadow = { key: 'node-7', subnet: SUBNET, route };
  const text =
    'packets to 10.244.7.0/24 (node node-7) follow the route 10.244.7.0/24 dev br-old, which has 10.244.7.1/24';
  assert.equal(
    describeShadow(shadow, [bridge()]),
    `${text}; the bridge has no ports: ip link delete br-old`,
  );
  const port = bridge({
    ifname: 'veth1',
    ifindex: 10,
    master: 'br-old',
    linkinfo: { info_kind: 'veth' },
  });
  assert.equal(describeShadow(shadow, [bridge(), port]), text);
  assert.equal(describeShadow(shadow, [bridge({ linkinfo: { info_kind: 'veth' } })]), text);
});
