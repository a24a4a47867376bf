/** Routes of others, and networks that hold more than pods: real daemons in namespaces. */
import assert from 'node:assert/strict';
import { Lab } from '../../lab/lab.ts';
import { ping } from '../../lab/traffic.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import { needs } from '../support/needs.ts';
import { statusOf } from '../support/node-status.ts';
import { until } from '../support/until.ts';

const { after, before, describe, it } = needs('root');

const WEFT = { kind: 'weft' } as const;
const nodeOf = (lab: Lab, i: number): WeftNode => lab.weftNodes[i] as WeftNode;
const routesOf = async (node: WeftNode): Promise<string> =>
  (await node.namespace.ip('route')).stdout;

for (const backend of ['vxlan', 'udp'] as const)
  describe(`netns: Network holds the nodes' own addresses (${backend})`, () => {
    let lab: Lab;
    before(async () => {
      lab = await Lab.build({
        nodes: [WEFT, WEFT],
        backend,
        configOptions: { Network: '10.0.0.0/8', SubnetLen: 20 },
      });
    });
    after(() => lab?.close());

    it('pods talk, and the host still reaches its site: routes are by subnet', async () => {
      const node = nodeOf(lab, 0);
      const subnet = (await statusOf(nodeOf(lab, 1))).lease.key.replace('-', '/');
      const routes = await routesOf(node);
      assert.match(routes, new RegExp(`${subnet.replaceAll('.', '\\.')} dev flannel`));
      assert.doesNotMatch(routes, /10\.0\.0\.0\/8/);
      // Another machine of the site, inside Network, behind the default route.
      await node.namespace.ip('route', 'add', 'default', 'via', '10.99.0.2');
      const { stdout } = await node.namespace.ip('route', 'get', '10.77.0.1');
      assert.match(stdout, /via 10\.99\.0\.2 dev eth0/);
      assert.equal((await ping(lab.pod(0), lab.pod(1), { count: 5 })).lossPct, 0);
      const { stdout: reply } = await node.namespace.exec('ping', ['-c1', '-W2', '10.99.0.2']);
      assert.match(reply, /1 received/);
    });

    it('nodes and their pods talk both ways, status is healthy and skips nobody', async () => {
      const node = nodeOf(lab, 0);
      const target = lab.pod(1).address(4);
      const { stdout } = await node.namespace.exec('ping', ['-c2', '-W2', target]);
      assert.match(stdout, /2 received/);
      assert.equal((await statusOf(node)).healthy, true);
      assert.doesNotMatch(node.log, /lease ignored/);
    });
  });

describe("netns: somebody else's route takes a peer's packets", () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.build({ nodes: [WEFT, WEFT] });
  });
  after(() => lab?.close());

  it('the stale bridge of an earlier cluster: status names it and how to remove it, then all is well', async () => {
    const node = nodeOf(lab, 0);
    const subnet = (await statusOf(nodeOf(lab, 1))).lease.key.replace('-', '/');
    const address = subnet.replace(/0\/24$/, '1/24');
    await node.namespace.ip('link', 'add', 'br-old', 'type', 'bridge');
    await node.namespace.ip('addr', 'add', address, 'dev', 'br-old');
    await node.namespace.ip('link', 'set', 'br-old', 'up');
    const warning = async (): Promise<string> =>
      (await statusOf(node)).health.find(({ code }) => code === 'route-shadowed')?.text ?? '';
    await until('it is named', async () => (await warning()).includes('ip link delete br-old'));
    assert.ok((await warning()).includes(`which has ${address}`), await warning());
    await node.namespace.ip('link', 'delete', 'br-old');
    await until('the warning goes', async () => (await warning()) === '');
    await lab.waitForPeers();
  });

  it('a static route to one pod is a shadow too, and no advice is given on a device that somebody uses', async () => {
    const node = nodeOf(lab, 0);
    const pod = lab.pod(1).address(4);
    await node.namespace.ip('route', 'add', `${pod}/32`, 'via', '10.99.0.2');
    const warning = async (): Promise<string> =>
      (await statusOf(node)).health.find(({ code }) => code === 'route-shadowed')?.text ?? '';
    await until('it is named', async () =>
      (await warning()).includes(`the route ${pod} via 10.99.0.2`),
    );
    assert.doesNotMatch(await warning(), /delete/);
    await node.namespace.ip('route', 'del', `${pod}/32`);
    await until('the warning goes', async () => (await warning()) === '');
  });
});

describe('netns: host-gw with a node that is not on the link', () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.build({ nodes: [WEFT, WEFT], backend: 'host-gw' });
  });
  after(() => lab?.close());

  it('status names node, subnet and way, and what helps', async () => {
    const value = JSON.stringify({ PublicIP: '203.0.113.9', BackendType: 'host-gw' });
    await lab.board.write('10.244.250.0-24', value);
    const node = nodeOf(lab, 0);
    await until('named', async () =>
      (await statusOf(node)).health.some(({ text }) =>
        /10\.244\.250\.0\/24 \(node 10\.244\.250\.0-24\) via 203\.0\.113\.9 dev eth0: .*use vxlan/.test(
          text,
        ),
      ),
    );
    await lab.board.remove('10.244.250.0-24');
    await lab.waitForPeers();
  });
});

describe('netns: rules of policy routing', () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.build({ nodes: [WEFT, WEFT], backendOptions: { DirectRouting: true } });
  });
  after(() => lab?.close());

  it('a rule sends what carries our address another way: no plain route is made for that peer', async () => {
    const node = nodeOf(lab, 0);
    assert.match(await routesOf(node), /via 10\.99\.0\.2 dev eth0 proto 86/);
    const { namespace } = node;
    await namespace.ip(
      'route',
      'add',
      'default',
      'via',
      '10.99.0.250',
      'dev',
      'eth0',
      'table',
      '77',
    );
    await namespace.ip('rule', 'add', 'from', '10.99.0.1', 'table', '77', 'pref', '10');
    await until('the plain route is gone', async () => {
      return !/via 10\.99\.0\.2 dev eth0 proto 86/.test(await routesOf(node));
    });
    await namespace.ip('rule', 'del', 'pref', '10');
    await until('and back', async () =>
      /via 10\.99\.0\.2 dev eth0 proto 86/.test(await routesOf(node)),
    );
    await lab.waitForPeers();
  });
});
