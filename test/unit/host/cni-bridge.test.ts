/** The pods' bridge, on what `ip -d -j addr` prints. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readCniBridge, staleSubnets } from '../../../src/host/cni-bridge.ts';
import type { Exec } from '../../../src/host/exec.ts';
import { formatPrefix, parsePrefix } from '../../../src/shared/address.ts';

const link = (ifname: string, more: object = {}) => ({
  ifindex: 1,
  ifname,
  flags: ['UP'],
  mtu: 1450,
  addr_info: [],
  ...more,
});
const BRIDGE = link('cni0', {
  linkinfo: { info_kind: 'bridge' },
  addr_info: [
    { family: 'inet', local: '10.244.3.1', prefixlen: 24, scope: 'global' },
    { family: 'inet6', local: 'fd00:3::1', prefixlen: 64, scope: 'global' },
    { family: 'inet6', local: 'fe80::1', prefixlen: 64, scope: 'link' },
  ],
});
const host =
  (...links: object[]): Exec =>
  async () =>
    JSON.stringify(links);
const prefix = (text: string) => {
  const parsed = parsePrefix(text);
  assert.ok(parsed);
  return parsed;
};

test('the bridge: its subnets without link-local ones, and what is on it', async () => {
  const run = host(link('eth0'), BRIDGE, link('veth1', { master: 'cni0' }));
  const bridge = await readCniBridge(undefined, run);
  assert.deepEqual(bridge?.subnets.map(formatPrefix), ['10.244.3.0/24', 'fd00:3::/64']);
  assert.deepEqual(bridge?.ports, ['veth1']);
});

test('no bridge, another name, a device of another kind under its name: none', async () => {
  assert.equal(await readCniBridge(undefined, host(link('eth0'))), undefined);
  assert.equal(await readCniBridge('cni1', host(BRIDGE)), undefined);
  assert.equal(await readCniBridge(undefined, host(link('cni0'))), undefined);
});

test("stale: subnets that are not within the node's, in its own families only", async () => {
  const bridge = await readCniBridge(undefined, host(BRIDGE));
  assert.ok(bridge);
  const stale = (own: Parameters<typeof staleSubnets>[1]) =>
    staleSubnets(bridge, own).map(formatPrefix);
  assert.deepEqual(stale({ subnet4: prefix('10.244.3.0/24') }), []);
  assert.deepEqual(stale({ subnet4: prefix('10.244.4.0/24') }), ['10.244.3.0/24']);
  assert.deepEqual(stale({ subnet4: prefix('10.244.3.0/25') }), ['10.244.3.0/24']);
  assert.deepEqual(stale({ subnet4: prefix('10.244.0.0/16') }), []);
  assert.deepEqual(stale({ subnet6: prefix('fd00:4::/64') }), ['fd00:3::/64']);
});
