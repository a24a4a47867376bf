/** Which held addresses are left over, by made-up namespaces; with real ones: test/netns/cni-addresses.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type HeldAddress, judgeHeld, OLD_MS } from '../../../src/host/cni-addresses.ts';
import type { AddressedLink } from '../../../src/host/ip-json.ts';
import { namedEnds, unseenOf } from '../../../src/host/network-namespaces.ts';

const NOW = 10 * OLD_MS;
const held = (address: string, heldAtMs = 0): HeldAddress => ({
  ...{ network: 'cbr0', address, container: 'c', heldAtMs },
});
const link = (ifindex: number, more: Partial<AddressedLink> = {}): AddressedLink => ({
  ...{ ifindex, ifname: `d${ifindex}`, flags: [], mtu: 1450, addr_info: [] },
  ...more,
});
const veth = (ifindex: number, other: number, netns: number | undefined = 0): AddressedLink =>
  link(ifindex, {
    ...{ link_index: other, linkinfo: { info_kind: 'veth' } },
    ...(netns !== undefined && { link_netnsid: netns }),
  });
const withAddress = (local: string): AddressedLink =>
  link(2, { addr_info: [{ family: 'inet', local, prefixlen: 24, scope: 'global' }] });

test('left over: old, and in no namespace', () => {
  const all = [held('10.244.1.2'), held('10.244.1.3'), held('10.244.1.4', NOW - OLD_MS + 1)];
  const namespaces = { links: [[link(1)], [withAddress('10.244.1.2')]], unseen: [] };
  const { left, doubt } = judgeHeld(all, namespaces, NOW);
  assert.deepEqual(left, [held('10.244.1.3')]);
  assert.equal(doubt, '');
});

test('IPv6 in another spelling is the same address', () => {
  const namespaces = { links: [[withAddress('fd00:1::2')]], unseen: [] };
  assert.deepEqual(judgeHeld([held('fd00:1:0:0::2')], namespaces, NOW).left, []);
});

test('nothing is left over while a namespace is not seen', () => {
  const { left, doubt } = judgeHeld([held('10.244.1.3')], { links: [], unseen: ['veth1'] }, NOW);
  assert.deepEqual(left, []);
  assert.match(doubt, /veth1/);
});

test('every veth must have its other end somewhere, and each end serves one', () => {
  const none = new Set<string>();
  assert.deepEqual(unseenOf([veth(10, 2), veth(11, 2)], none, [veth(2, 10), veth(2, 11)]), []);
  assert.deepEqual(unseenOf([veth(10, 2), veth(11, 2)], none, [veth(2, 10)]), ['d11']);
  assert.deepEqual(unseenOf([veth(10, 2)], new Set(['d10']), []), []);
  // Both ends in this namespace: link_netnsid is not shown.
  const { link_netnsid: _, ...local } = veth(10, 12);
  assert.deepEqual(unseenOf([local, link(13)], none, []), []);
});

test('which devices lead into namespaces with names, as ip says it', () => {
  const text = [
    '2: eth0: <UP> mtu 1500 qdisc noop\\    link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff',
    '7: veth1@if2: <UP> mtu 1450 master cni0\\    link/ether 02:00:00:00:00:02 brd ff:ff:ff:ff:ff:ff link-netns cni-1234 promiscuity 1',
    '8: veth2@if2: <UP> mtu 1450 master cni0\\    link/ether 02:00:00:00:00:03 brd ff:ff:ff:ff:ff:ff link-netnsid 3 promiscuity 1',
  ];
  assert.deepEqual([...namedEnds(`${text.join('\n')}\n`)], ['veth1']);
});

test('nothing is left over while a pod on the bridge has no address of its own', () => {
  const port = { ...veth(10, 2), master: 'cni0' };
  const judged = (inside: AddressedLink) =>
    judgeHeld([held('10.244.1.3')], { links: [[port], [inside]], unseen: [] }, NOW);
  assert.match(judged(veth(2, 10)).doubt, /d10 has no address of its own/);
  assert.deepEqual(judged(veth(2, 10)).left, []);
  const addressed = { ...veth(2, 10), addr_info: withAddress('10.244.1.2').addr_info };
  assert.equal(judged(addressed).doubt, '');
});
