/** A stock flannel in the place of a lab's first weftd: kernel devices, neighbours, forwarding entries and routes as flanneld makes them. */
import assert from 'node:assert/strict';
import type { Lab } from '../../lab/lab.ts';
import { leaseKey, leaseValue, type PeerEntry, peerEntries } from '../../lab/lease-file.ts';
import { addressInSubnet } from '../../lab/node.ts';
import type { WeftNode } from '../../lab/weft-node.ts';

export const DEVICES = { 4: 'flannel.1', 6: 'flannel-v6.1' } as const;

export const first = (lab: Lab): WeftNode => lab.weftNodes[0] as WeftNode;
export const ipOf =
  (lab: Lab) =>
  async (...words: string[]): Promise<string> =>
    (await first(lab).namespace.ip(...words)).stdout;
const macOf = (family: 4 | 6): string => `02:11:22:33:44:0${family}`;

/** Kernel vxlan devices as flanneld makes them, in the place of a node's weftd. */
export async function addStockDevices(lab: Lab): Promise<void> {
  const node = first(lab);
  for (const family of lab.families) {
    const device = DEVICES[family];
    const { subnet4, subnet6 } = node.network;
    const subnet = family === 4 ? subnet4 : subnet6;
    assert.ok(subnet);
    const local = family === 4 ? node.underlay.address4 : node.underlay.address6;
    const vxlan = ['type', 'vxlan', 'id', '1', 'dev', 'eth0', 'local', local, 'nolearning'];
    await node.namespace.ip(
      ...['link', 'add', device, 'mtu', '1430', 'address', macOf(family)],
      ...[...vxlan, 'dstport', '8472'],
    );
    const address = `${addressInSubnet(subnet, 0)}/${family === 4 ? 32 : 128}`;
    await node.namespace.ip('addr', 'add', address, 'dev', device);
    await node.namespace.ip('link', 'set', device, 'up');
  }
}

/** The rest of what flanneld does: its lease, and neighbours, forwarding entries and routes of its peers. */
export async function becomeStock(lab: Lab): Promise<void> {
  const node = first(lab);
  await addStockDevices(lab);
  const { subnet4, subnet6 } = node.network;
  const lease = {
    ...(subnet4 && { subnet4, publicIp: node.underlay.address4, vtepMac: macOf(4) }),
    ...(subnet6 && { subnet6, publicIpv6: node.underlay.address6, vtepMacV6: macOf(6) }),
  };
  const own = leaseKey(lease);
  await lab.board.write(own, leaseValue(lease));
  for (const [key, value] of await lab.board.read()) {
    if (key === own) continue;
    for (const peer of peerEntries(key, value)) await addStockPeer(lab, peer);
  }
}

async function addStockPeer(lab: Lab, peer: PeerEntry): Promise<void> {
  const { namespace } = first(lab);
  const { family, mac, network, length, publicIp } = peer;
  const device = DEVICES[family];
  await namespace.ip(
    ...['neigh', 'replace', network, 'lladdr', mac, 'dev', device, 'nud', 'permanent'],
  );
  const entry = ['fdb', 'replace', mac, 'dev', device, 'dst', publicIp, 'self', 'permanent'];
  await namespace.exec('bridge', entry);
  // Not "replace": what is in the way is a finding.
  const route = [`${network}/${length}`, 'via', network, 'dev', device, 'onlink'];
  await namespace.ip(`-${family}`, 'route', 'add', ...route);
}

export async function removeStock(lab: Lab): Promise<void> {
  for (const family of lab.families)
    await first(lab).namespace.ip('link', 'delete', DEVICES[family]);
}
