/** ICMP errors of the overlay, and of the kernel about it, reach pods and the host itself, on hosts that take no packet from themselves. */
import assert from 'node:assert/strict';
import { Lab } from '../../lab/lab.ts';
import type { Namespace } from '../../lab/namespace.ts';
import { addressInSubnet } from '../../lab/node.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import type { Prefix } from '../../src/shared/address.ts';
import { needs } from '../support/needs.ts';

const { after, before, describe, it } = needs('root');

const WEFT = { kind: 'weft' } as const;
const node = (lab: Lab, index = 0): WeftNode => lab.weftNodes[index] as WeftNode;

/** What ping says of one packet. */
async function pingOnce(from: Namespace, to: string, ...flags: string[]): Promise<string> {
  const args = ['-n', '-c', '1', '-W', '5', ...flags, to];
  return (await from.exec('ping', args, { allowFailure: true, timeoutMs: 20_000 })).stdout;
}

/** Strict filters, and what an operator may have set for all devices to come. */
async function harden(lab: Lab): Promise<void> {
  for (const { namespace } of lab.weftNodes) {
    await namespace.sysctl({
      'net/ipv4/conf/all/rp_filter': 1,
      'net/ipv4/conf/flannel0/rp_filter': 1,
    });
  }
}

describe('netns: ICMP errors, vxlan', () => {
  let lab: Lab;
  const device = (family: 4 | 6): string => {
    const { subnet4, subnet6 } = node(lab).network;
    return addressInSubnet((family === 4 ? subnet4 : subnet6) as Prefix, 0);
  };
  before(async () => {
    lab = await Lab.build({ nodes: [WEFT, WEFT], families: [4, 6] });
  });
  after(() => lab?.close());

  it('no device of the node accepts packets from its own addresses, but the one that weft alone writes to', async () => {
    const args = ['-l', '1', '-r', '/proc/sys/net/ipv4/conf', '--include=accept_local'];
    const { stdout } = await node(lab).namespace.exec('grep', args, { allowFailure: true });
    const found = stdout.split('\n').filter((file) => file !== '' && !file.includes('/weft.1/'));
    assert.deepEqual(found, []);
  });

  for (const family of [4, 6] as const) {
    const nobody = family === 4 ? '10.244.250.9' : 'fd00:244:0:fa::9';
    const text = family === 4 ? 'Destination Net Unreachable' : 'Destination unreachable: No route';

    it(`IPv${family}: nobody leases the destination: pod and host are told by the overlay device`, async () => {
      for (const space of [lab.pod(0).namespace, node(lab).namespace]) {
        const said = await pingOnce(space, nobody);
        assert.match(said, new RegExp(`From ${device(family)} .*${text}`));
      }
    });

    it(`IPv${family}: larger than the overlay's MTU: the pod is told which it is`, async () => {
      const pod = lab.pod(0);
      await pod.node.namespace.ip('link', 'set', 'pod0', 'mtu', '1500');
      await pod.namespace.ip('link', 'set', 'eth0', 'mtu', '1500');
      const to = lab.pod(1).address(family);
      const said = await pingOnce(pod.namespace, to, '-M', 'do', '-s', '1440');
      assert.match(said, /mtu = ?1[34]\d0|mtu=1[34]\d0/);
    });
  }
});

describe('netns: ICMP errors, udp', () => {
  let lab: Lab;
  const deviceOf = (index: number): string =>
    addressInSubnet(node(lab, index).network.subnet4 as Prefix, 0);
  before(async () => {
    lab = await Lab.build({ nodes: [WEFT, WEFT], backend: 'udp' });
    await harden(lab);
  });
  after(() => lab?.close());

  it('TTL ended: a pod and the host hear it from this node, and from the next one', async () => {
    const to = lab.pod(1).address(4);
    const exceeded = (index: number): RegExp =>
      new RegExp(`From ${deviceOf(index)} .*Time to live exceeded`);
    const pod = lab.pod(0).namespace;
    const host = node(lab).namespace;
    assert.match(await pingOnce(host, to, '-t', '1'), exceeded(0));
    assert.match(await pingOnce(host, to, '-t', '2'), exceeded(1));
    assert.match(await pingOnce(pod, to, '-t', '2'), exceeded(0));
    assert.match(await pingOnce(pod, to, '-t', '3'), exceeded(1));
    assert.match(await pingOnce(pod, to, '-t', '5'), / 0% packet loss/);
  });
});
