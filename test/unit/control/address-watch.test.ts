/** Addresses of the host in the overlay's way: on links that are made up. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Peer } from '../../../src/cluster/peers.ts';
import { AddressWatch } from '../../../src/control/address-watch.ts';
import { EchoSender } from '../../../src/control/reach/echo.ts';
import { ADDRESSED_LINK, type AddressedLink } from '../../../src/host/ip-json.ts';
import { NO_MAC, type Prefix, parsePrefix } from '../../../src/shared/address.ts';
import { words } from '../../support/rig.ts';

const link = (ifname: string, ...addresses: string[]): AddressedLink =>
  ADDRESSED_LINK.parse({
    ...{ ifindex: 1, ifname, flags: [], mtu: 1500 },
    addr_info: addresses.map((text) => {
      const [local = '', length] = text.split('/');
      const family = local.includes(':') ? 'inet6' : 'inet';
      return { family, local, prefixlen: Number(length), scope: 'global' };
    }),
  });
const peer = (key: string, subnet: string): Peer => {
  const family = subnet.includes(':') ? 6 : 4;
  const prefix = parsePrefix(subnet) as Prefix;
  return { key, family, subnet: prefix, address: words('192.0.2.2'), port: 8472, mac: NO_MAC };
};
const overlay = {
  peers: [peer('n2', '10.244.2.0/24'), peer('n2', 'fd00:244:0:2::/64')],
  devices: ['flannel.1', 'flannel-v6.1'],
  networks: ['10.244.0.0/16', 'fd00:244::/48'].map((text) => parsePrefix(text) as Prefix),
  subnets: ['10.244.1.0/24', 'fd00:244:0:1::/64'].map((text) => parsePrefix(text) as Prefix),
};
const fine = [
  link('eth0', '192.0.2.1/24', 'fe80::1/64'),
  link('flannel.1', '10.244.1.0/32', 'fe80::2/64'),
  link('flannel-v6.1', 'fd00:244:0:1::/128'),
  link('cni0', '10.244.1.1/24'),
];

test("addresses of other nodes' subnets are named with device and node, also IPv6 and a whole bridge", async () => {
  const watch = new AddressWatch(async () => []);
  await watch.look(fine, overlay);
  assert.deepEqual([watch.taken, watch.foreign], ['', '']);
  await watch.look([...fine, link('flannel0', '10.244.2.0/32')], overlay);
  assert.equal(watch.taken, '10.244.2.0/32 on flannel0, of 10.244.2.0/24 (node n2)');
  assert.equal(watch.deviceWith(words('10.244.2.0')), 'flannel0');
  assert.equal(watch.deviceWith(words('10.244.2.1')), undefined);
  await watch.look([...fine, link('old', 'fd00:244:0:2::1/64')], overlay);
  assert.match(watch.taken, /fd00:244:0:2::1\/64 on old/);
  await watch.look(fine, overlay);
  assert.equal(watch.taken, '');
});

test("an address that somebody gave to our device is named with the manager; the kernel's own is not", async () => {
  let asked = 0;
  const watch = new AddressWatch(async () => {
    asked++;
    return ['dhcpcd'];
  });
  const strange = [...fine, link('flannel.1', '169.254.7.7/16')];
  await watch.look(strange, overlay);
  await watch.look(strange, overlay);
  assert.equal(watch.foreign, 'flannel.1 has 169.254.7.7/16; dhcpcd runs on this host');
  assert.equal(asked, 1, 'processes are looked for once, not at each look');
  await watch.look(fine, overlay);
  assert.equal(watch.foreign, '');
});

test('an echo to an address that this host has is not sent, and does not count as answered', async () => {
  const never = (): never => assert.fail('nothing is sent');
  const addon = {
    ...{ openEcho: never, echoSend: never, echoReceive: never, close: never },
    ...{ watch: never, watchAgain: never, unwatch: never },
  };
  const sender = new EchoSender(addon, { 4: words('10.244.1.0') }, () => 'flannel0');
  const echo = await sender.send(words('10.244.2.0'), { payloadBytes: 56, timeoutMs: 100 });
  assert.equal(echo.state, 'refused');
  assert.match(JSON.stringify(echo), /this host has that address itself, on flannel0/);
});
