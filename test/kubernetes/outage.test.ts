/**
 * The API server away, cut off, or of an earlier state, while pods talk: no packet is lost, and what came meanwhile is found.
 * WEFT_API_DEAD_SECONDS=300 makes the server's death as long as that; the usual run has a short one.
 */
import assert from 'node:assert/strict';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PREFIX } from '../../lab/kubernetes/board.ts';
import { Lab } from '../../lab/lab.ts';
import { ping } from '../../lab/traffic.ts';
import { Cluster, stockNode } from '../support/kubernetes.ts';
import { needs } from '../support/needs.ts';
import { peerSubnets, statusOf } from '../support/node-status.ts';
import { until } from '../support/until.ts';
import { withoutLoss } from '../support/without-loss.ts';

const { after, before, describe, it } = needs('root');

const DEAD_MS = Number(process.env['WEFT_API_DEAD_SECONDS'] ?? 15) * 1000;
const STOCK_SUBNET = '10.244.203.0/24';
const WEFT_PAIRS = [
  [0, 1],
  [1, 0],
] as const;
const ALL = [...WEFT_PAIRS, [0, 2], [2, 0]] as const;

describe('netns: the API server of Kubernetes away', () => {
  let lab: Lab;
  let cluster: Cluster;
  before(async () => {
    lab = await Lab.build({
      nodes: [{ kind: 'weft' }, { kind: 'weft' }, { kind: 'kernel' }],
      store: 'kubernetes',
    });
    cluster = new Cluster(lab);
  });
  after(() => lab?.close());

  const bothHave = (subnet: string, has: boolean) =>
    until(`${subnet} ${has}`, async () => {
      const all = await Promise.all([0, 1].map((i) => peerSubnets(cluster.node(i))));
      return all.every((subnets) => subnets.includes(subnet) === has);
    });

  it('cut off: a node that came meanwhile is a peer when the network is whole again', async () => {
    await withoutLoss(lab, ALL, async () => {
      await lab.linkStore('down');
      const wish = stockNode(1, '10.99.0.71', '10.244.71.0/24');
      await cluster.plane.admin.addNode('cut', wish);
      await sleep(3_000);
      await lab.linkStore('up');
      await bothHave('10.244.71.0/24', true);
    });
  });

  it('restored from an older etcd backup: nothing is lost, and peers are those of then', async () => {
    const backup = path.join(lab.scope.tempDir, 'backup');
    const { plane } = cluster;
    await withoutLoss(lab, ALL, async () => {
      await plane.etcd.backUp(backup);
      await plane.waitUntilReady();
      await plane.admin.addNode('later', stockNode(2, '10.99.0.72', '10.244.72.0/24'));
      await cluster.annotate('cut', { [`${PREFIX}public-ip`]: '10.99.0.73' });
      await bothHave('10.244.72.0/24', true);
      await plane.kill();
      await plane.etcd.restore(backup);
      plane.start();
      await plane.waitUntilReady();
      await plane.compact();
      await bothHave('10.244.72.0/24', false);
      await plane.admin.addNode('next', stockNode(3, '10.99.0.74', '10.244.74.0/24'));
      await bothHave('10.244.74.0/24', true);
    });
    assert.equal((await statusOf(cluster.node(0))).lease.state, 'held');
  });

  it('dead for long: nothing is lost, and a node that joined meanwhile is reached after its return', async (t) => {
    const { plane } = cluster;
    const { metadata } = await cluster.view('n3');
    // The stock node's kernel goes on; what is away is its Node, until somebody joins it to the cluster again.
    await lab.kernelNodes[0]?.stopFollowing();
    await plane.admin.deleteNode('n3');
    await bothHave(STOCK_SUBNET, false);
    const isReached = async (): Promise<boolean> => {
      const { received } = await ping(lab.pod(0), lab.pod(2), { count: 1, waitMs: 200 });
      return received > 0;
    };
    assert.equal(await isReached(), false);
    let tookMs = 0;
    await withoutLoss(lab, WEFT_PAIRS, async () => {
      await plane.kill();
      await until('noticed', async () => !(await statusOf(cluster.node(0))).store.ok, 120_000);
      const { annotations = {} } = metadata;
      const wish = { podCIDR: STOCK_SUBNET, podCIDRs: [STOCK_SUBNET], annotations };
      await plane.seedNodes([['n3', wish]]);
      await sleep(DEAD_MS);
      assert.equal(await isReached(), false);
      plane.start();
      await plane.waitUntilReady();
      const backMs = performance.now();
      await until('reached', isReached);
      tookMs = performance.now() - backMs;
    });
    t.diagnostic(
      `dead for ${DEAD_MS / 1000} s: the node that joined meanwhile answered ${tookMs.toFixed(0)} ms after the server was ready`,
    );
    await bothHave(STOCK_SUBNET, true);
    if (DEAD_MS < 30_000) return;
    const reasons = async () => (await cluster.events('n1')).map(({ reason }) => reason);
    await until('the event', async () => (await reasons()).includes('APIServerUnreachable'));
  });
});
