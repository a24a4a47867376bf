/** Nodes in a Kubernetes cluster, with a real API server: weft's daemons, and a stock node whose Node was annotated by hand. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { PREFIX } from '../../lab/kubernetes/board.ts';
import { Lab } from '../../lab/lab.ts';
import { POD_DEVICE } from '../../lab/pod.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import { needs } from '../support/needs.ts';
import { peerSubnets, statusOf } from '../support/node-status.ts';
import { until } from '../support/until.ts';
import { withoutLoss } from '../support/without-loss.ts';

const { after, before, describe, it } = needs('root');

const ALL = [
  [0, 1],
  [1, 0],
  [0, 2],
  [2, 0],
] as const;

interface NodeView {
  metadata: { uid: string; annotations: Record<string, string> };
  status: { conditions?: { type: string; status: string; reason: string; message: string }[] };
}

/** Routes, blackhole, addresses, the bridge and what CNI plugins read. The pod's own device is the lab's. */
async function nothingOf(prefix: string, { namespace, subnetFile }: WeftNode): Promise<void> {
  await until(`nothing of ${prefix}`, async () => {
    const { stdout: routes } = await namespace.ip('route', 'show', 'proto', '86');
    const { stdout: addresses } = await namespace.ip('-br', '-4', 'addr');
    const others = addresses.split('\n').filter((line) => !line.startsWith(POD_DEVICE));
    const all = [readFileSync(subnetFile, 'utf8'), routes, ...others].join('\n');
    return !all.includes(prefix) && all.includes('FLANNEL_SUBNET');
  });
}

describe('netns: Kubernetes', () => {
  let lab: Lab;
  const node = (i: number): WeftNode => lab.weftNodes[i] as WeftNode;
  const plane = () => {
    assert.ok(lab.controlPlane);
    return lab.controlPlane;
  };
  const view = (name: string) => plane().admin.call<NodeView>('GET', `/api/v1/nodes/${name}`);
  const annotate = (name: string, annotations: Record<string, string | null>) =>
    plane().admin.patchNode(name, { metadata: { annotations } });
  const annotation = async (name: string, suffix: string): Promise<string | undefined> =>
    (await view(name)).metadata.annotations[PREFIX + suffix];

  before(async () => {
    lab = await Lab.build({
      nodes: [{ kind: 'weft' }, { kind: 'weft' }, { kind: 'kernel' }],
      store: 'kubernetes',
      flags: ['--ip-blackhole-route'],
    });
  });
  after(() => lab?.close());

  it('KUB annotations to the byte, the condition, the lease under the name of the Node', async () => {
    const { metadata, status } = await view('n1');
    const data = metadata.annotations[`${PREFIX}backend-data`] ?? '';
    assert.match(data, /^\{"VNI":1,"VtepMAC":"[0-9a-f:]{17}"\}$/);
    assert.deepEqual(metadata.annotations, {
      [`${PREFIX}backend-data`]: data,
      [`${PREFIX}backend-type`]: 'vxlan',
      [`${PREFIX}kube-subnet-manager`]: 'true',
      [`${PREFIX}public-ip`]: '10.99.0.1',
    });
    const condition = status.conditions?.find(({ type }) => type === 'NetworkUnavailable');
    const { status: word, reason, message } = condition ?? {};
    const said = ['False', 'FlannelIsUp', 'Flannel is running on this node'];
    assert.deepEqual([word, reason, message], said);
    const { lease, peers } = await statusOf(node(0));
    assert.deepEqual([lease.key, lease.state, peers.total], ['n1', 'held', 2]);
  });

  it('annotations that somebody takes away are put back, and nothing is lost; overwritten ones too', async () => {
    await withoutLoss(
      lab,
      [
        [0, 1],
        [1, 0],
      ],
      async () => {
        await annotate('n1', { [`${PREFIX}backend-type`]: null });
        await until('put back', async () => (await annotation('n1', 'backend-type')) === 'vxlan');
        await annotate('n1', { [`${PREFIX}kube-subnet-manager`]: null });
        const is = async (): Promise<boolean> =>
          (await annotation('n1', 'kube-subnet-manager')) === 'true';
        await until('put back', is);
      },
    );
    await annotate('n1', { [`${PREFIX}public-ip`]: '192.0.2.1' });
    await until('put back', async () => (await annotation('n1', 'public-ip')) === '10.99.0.1');
    await until('held', async () => (await statusOf(node(0))).lease.state === 'held');
    await lab.waitForPeers();
  });

  it('public-ip-overwrite: published while it is there, and no longer', async () => {
    const name = `${PREFIX}public-ip-overwrite`;
    await annotate('n2', { [name]: '10.99.0.2' });
    await annotate('n2', { [name]: '192.0.2.7' });
    await until('published', async () => (await annotation('n2', 'public-ip')) === '192.0.2.7');
    await annotate('n2', { [name]: null });
    await until('its own again', async () => (await annotation('n2', 'public-ip')) === '10.99.0.2');
    await lab.waitForPeers();
  });

  it('the API server dead, frozen, restarted: forwarding goes on, and all converges', async () => {
    const storeIs = (ok: boolean) =>
      until(`store ${ok}`, async () => (await statusOf(node(0))).store.ok === ok, 120_000);
    await withoutLoss(lab, ALL, async () => {
      await plane().kill();
      await storeIs(false);
      plane().start();
      await plane().waitUntilReady();
      await storeIs(true);
      await plane().compact();
      await plane().restart();
      await storeIs(true);
    });
    assert.equal((await statusOf(node(0))).peers.total, 2);
  });

  it('a node that starts while the API server is dead forwards from memory', async () => {
    await until('remembered', async () => (await statusOf(node(1))).peers.total === 2);
    await sleep(3_000); // the memory is written behind what happens
    await plane().kill();
    await node(1).stop();
    await node(1).start();
    await until('pods talk', async () => (await statusOf(node(1))).lease.state === 'remembered');
    await withoutLoss(
      lab,
      [
        [1, 0],
        [0, 1],
      ],
      () => sleep(500),
    );
    plane().start();
    await plane().waitUntilReady();
    await until('held', async () => (await statusOf(node(1))).lease.state === 'held', 120_000);
  });

  it('the Node deleted and made anew: annotations and condition are there again', async () => {
    const { metadata } = await view('n2');
    await plane().admin.deleteNode('n2');
    await until('noticed', async () => (await statusOf(node(1))).lease.state === 'lost');
    await plane().admin.addNode('n2', {
      podCIDR: '10.244.202.0/24',
      podCIDRs: ['10.244.202.0/24'],
    });
    await until(
      'annotated',
      async () => (await annotation('n2', 'public-ip').catch(() => '')) === '10.99.0.2',
    );
    assert.notEqual((await view('n2')).metadata.uid, metadata.uid);
    await until(
      'condition',
      async () =>
        (await view('n2')).status.conditions?.some(({ type }) => type === 'NetworkUnavailable') ===
        true,
    );
    await lab.waitForPeers();
  });

  it('another podCIDR: followed without another process, and nothing of the old one stays', async () => {
    const { pid } = node(1);
    const { namespace } = node(1);
    await namespace.ip('link', 'add', 'cni0', 'type', 'bridge');
    await namespace.ip('addr', 'add', '10.244.202.1/24', 'dev', 'cni0');
    const { stdout: before } = await namespace.ip('route', 'show', 'proto', '86');
    assert.match(before, /blackhole 10\.244\.202\.0\/24/);
    await plane().admin.deleteNode('n2');
    await plane().admin.addNode('n2', {
      podCIDR: '10.244.77.0/24',
      podCIDRs: ['10.244.77.0/24'],
    });
    const own = async (): Promise<string> =>
      (await annotation('n2', 'public-ip').catch(() => undefined)) ?? '';
    await until('annotated', async () => (await own()) === '10.99.0.2');
    const state = async (): Promise<string | undefined> =>
      (await statusOf(node(1)).catch(() => undefined))?.lease?.state;
    await until('ready', async () => (await state()) === 'held');
    assert.equal(node(1).pid, pid);
    assert.equal(node(1).exit, undefined);
    assert.match(
      node(1).log,
      /podCIDR of Node n2 was 10\.244\.202\.0\/24 and is 10\.244\.77\.0\/24/,
    );
    const { stdout } = await node(1).namespace.ip('-br', '-4', 'addr', 'show', 'dev', 'flannel.1');
    assert.match(stdout, /10\.244\.77\.0\/32/);
    assert.doesNotMatch(stdout, /10\.244\.202/);
    await nothingOf('10.244.202', node(1));
    await until('the other follows', async () => {
      const subnets = await peerSubnets(node(0));
      return subnets.includes('10.244.77.0/24') && !subnets.includes('10.244.202.0/24');
    });
  });
});
