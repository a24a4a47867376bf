/** weft's own manifest in a cluster with real kubelets and a real runtime, beside a stock node with kernel VXLAN. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Cluster, type ClusterPod } from '../../lab/kubernetes/cluster.ts';
import { WEFT_IMAGE } from '../../lab/kubernetes/cluster-image.ts';
import { readManifest, withImage } from '../../lab/kubernetes/manifest.ts';
import { WEB_HOST_PORT, WEB_LABEL, WEB_SERVICE, webObjects } from '../../lab/kubernetes/web.ts';
import { Pod } from '../../lab/pod.ts';
import { ping } from '../../lab/traffic.ts';
import { projectRoot } from '../../src/shared/root.ts';
import { needs } from '../support/needs.ts';

const { after, before, describe, it } = needs('root');

const WEFT = ['kube-weft', 'app.kubernetes.io/name=weft'] as const;

describe('cluster: two kubelets and a stock node', () => {
  let cluster: Cluster;
  let pods: [Pod, Pod, Pod];
  let web: ClusterPod[];

  before(async () => {
    cluster = await Cluster.build({ kubelets: 2, kernelNodes: 1 });
    const manifest = readManifest(join(projectRoot(), 'deploy/kubernetes/weft.yaml'));
    const { admin } = cluster.plane;
    await admin.create([...withImage(manifest, WEFT_IMAGE), ...webObjects()]);
    await cluster.readyPods(...WEFT);
    web = await cluster.readyPods('default', WEB_LABEL);
    const [first, second] = web as [ClusterPod, ClusterPod];
    const [stock] = cluster.kernelNodes;
    assert.ok(stock);
    pods = [
      await cluster.attach(first, 'p1'),
      await cluster.attach(second, 'p2'),
      await Pod.create(cluster.scope, 'p3', stock),
    ];
  });
  after(() => cluster?.close());

  it('the DaemonSet makes every node ready, and every pod reaches every pod', async () => {
    for (const from of pods)
      for (const to of pods) {
        if (from === to) continue;
        const answered = async () =>
          (await ping(from, to, { count: 1, waitMs: 500 })).received === 1;
        await cluster.until(`${from.name} to ${to.name}`, answered, 60_000);
        const { lossPct } = await ping(from, to, { count: 20 });
        assert.equal(lossPct, 0, `${from.name} to ${to.name}`);
      }
  });

  it('a ClusterIP answers from both nodes, a host port from outside', async () => {
    const names = web.map(({ metadata }) => metadata.name).sort();
    for (const pod of pods.slice(0, 2)) {
      const seen = new Set<string>();
      await cluster.until('both pods of the Service', async () => {
        seen.add(await get(pod, `http://${WEB_SERVICE}/`));
        return seen.size === 2;
      });
      assert.deepEqual([...seen].sort(), names);
    }
    const { namespace } = cluster.kernelNodes[0] ?? assert.fail();
    for (const [i, node] of cluster.kubelets.entries()) {
      const url = `http://${node.underlay.address4}:${WEB_HOST_PORT}/`;
      assert.equal(await get({ namespace }, url), web[i]?.metadata.name);
    }
  });
});

async function get({ namespace }: Pick<Pod, 'namespace'>, url: string): Promise<string> {
  const words = ['-sS', '--max-time', '5', '--noproxy', '*', url];
  return (await namespace.exec('curl', words)).stdout;
}
