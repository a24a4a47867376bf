/** weft's own manifest in a cluster with real kubelets and a real runtime, beside a stock node with kernel VXLAN. */
import assert from 'node:assert/strict';
import { Cluster, type ClusterPod } from '../../lab/kubernetes/cluster.ts';
import { populate, WEFT_DAEMONS, weftManifest } from '../../lab/kubernetes/populate.ts';
import { WEB_HOST_PORT, WEB_SERVICE } from '../../lab/kubernetes/web.ts';
import { pairsOf, waitForPeers } from '../../lab/lab.ts';
import type { Pod } from '../../lab/pod.ts';
import { ping } from '../../lab/traffic.ts';
import { needs } from '../support/needs.ts';

const { after, before, describe, it } = needs('root');

describe('cluster: two kubelets and a stock node', () => {
  let cluster: Cluster;
  let pods: readonly Pod[];
  let web: readonly ClusterPod[];

  before(async () => {
    cluster = await Cluster.build({ kubelets: 2, kernelNodes: 1 });
    ({ web, pods } = await populate(cluster, weftManifest(), WEFT_DAEMONS));
  });
  after(() => cluster?.close());

  it('the DaemonSet makes every node ready, and every pod reaches every pod', async () => {
    await waitForPeers(pods, [4], 60_000);
    for (const { from, to } of pairsOf(pods))
      assert.equal((await ping(from, to, { count: 20 })).lossPct, 0, `${from.name} to ${to.name}`);
  });

  it('a ClusterIP answers from both nodes, a host port from outside', async () => {
    const names = web.map(({ metadata }) => metadata.name).sort();
    for (const pod of pods.slice(0, 2)) {
      const seen = new Set<string>();
      await cluster.until('both pods of the Service', async () => {
        seen.add(await cluster.get(pod.namespace, `http://${WEB_SERVICE}/`));
        return seen.size === 2;
      });
      assert.deepEqual([...seen].sort(), names);
    }
    const { namespace } = cluster.kernelNodes[0] ?? assert.fail();
    for (const [i, node] of cluster.kubelets.entries()) {
      const url = `http://${node.underlay.address4}:${WEB_HOST_PORT}/`;
      assert.equal(await cluster.get(namespace, url), web[i]?.metadata.name);
    }
  });
});
