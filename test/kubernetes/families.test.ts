/** Clusters of both families and of IPv6 alone, with a real API server. */
import assert from 'node:assert/strict';
import { adminPage } from '../../lab/admin-page.ts';
import { PREFIX } from '../../lab/kubernetes/board.ts';
import { Lab } from '../../lab/lab.ts';
import type { PeersPage } from '../../src/api/peers.ts';
import { Cluster } from '../support/kubernetes.ts';
import { needs } from '../support/needs.ts';
import { statusOf } from '../support/node-status.ts';
import { until } from '../support/until.ts';

const { after, before, describe, it } = needs('root');

describe('netns: a dual-stack Kubernetes cluster', () => {
  let cluster: Cluster;
  before(async () => {
    const nodes = [{ kind: 'weft' }, { kind: 'weft' }, { kind: 'kernel' }] as const;
    cluster = new Cluster(await Lab.build({ nodes, store: 'kubernetes', families: [4, 6] }));
  });
  after(() => cluster?.lab.close());

  /** What n1 sends to n3, by family. */
  async function macsOfStockNode(): Promise<Record<number, string | null>> {
    const page = JSON.parse(await adminPage(cluster.node(0).adminSocket, '/peers')) as PeersPage;
    const found = page.peers.filter(({ key }) => key === 'n3');
    return Object.fromEntries(found.map(({ family, mac }) => [family, mac]));
  }

  it('pods talk in both families; annotations of both are there', async () => {
    await cluster.lab.waitForPeers();
    const { metadata } = await cluster.view('n1');
    const suffixes = Object.keys(metadata.annotations ?? {}).map((name) =>
      name.slice(PREFIX.length),
    );
    assert.deepEqual(suffixes.sort(), [
      ...['backend-data', 'backend-type', 'backend-v6-data', 'kube-subnet-manager'],
      ...['public-ip', 'public-ipv6'],
    ]);
  });

  it('A-11: a change in one family alone is seen by peers', async () => {
    const before = await macsOfStockNode();
    const other = '02:00:00:00:66:06';
    const data = `{"VNI":1,"VtepMAC":"${other}"}`;
    const own = await cluster.annotation('n3', 'backend-v6-data');
    await cluster.annotate('n3', { [`${PREFIX}backend-v6-data`]: data });
    await until('the new MAC', async () => (await macsOfStockNode())[6] === other);
    assert.equal((await macsOfStockNode())[4], before[4]);
    await cluster.annotate('n3', { [`${PREFIX}backend-v6-data`]: own ?? null });
    await until('the old MAC', async () => (await macsOfStockNode())[6] === before[6]);
    await cluster.lab.waitForPeers();
  });

  it('a podCIDR that comes late is waited for: nothing is written before, and an event says why', async () => {
    const { plane } = cluster;
    const { spec } = await cluster.view('n2');
    await cluster.node(1).stop();
    await plane.admin.deleteNode('n2');
    await plane.admin.addNode('n2');
    const started = cluster.node(1).start();
    await until('it waits', () =>
      /n2 has no IPv4 podCIDR.*--allocate-node-cidrs/.test(cluster.node(1).log),
    );
    const reasons = async () => (await cluster.events('n2')).map(({ reason }) => reason);
    await until('the event', async () => (await reasons()).includes('PodCIDRUnusable'));
    assert.equal((await cluster.view('n2')).metadata.annotations, undefined);
    await plane.admin.patchNode('n2', { spec: { podCIDR: spec.podCIDR, podCIDRs: spec.podCIDRs } });
    await started;
    await cluster.lab.waitForPeers();
  });
});

describe('netns: a Kubernetes cluster of IPv6 alone', () => {
  let cluster: Cluster;
  before(async () => {
    const nodes = [{ kind: 'weft' }, { kind: 'kernel' }] as const;
    cluster = new Cluster(await Lab.build({ nodes, store: 'kubernetes', families: [6] }));
  });
  after(() => cluster?.lab.close());

  it('pods talk; nothing of IPv4 is published', async () => {
    await cluster.lab.waitForPeers();
    const { metadata } = await cluster.view('n1');
    const suffixes = Object.keys(metadata.annotations ?? {}).map((name) =>
      name.slice(PREFIX.length),
    );
    assert.deepEqual(suffixes.sort(), [
      ...['backend-type', 'backend-v6-data', 'kube-subnet-manager', 'public-ipv6'],
    ]);
    assert.equal((await statusOf(cluster.node(0))).lease.state, 'held');
  });
});
