/** weft's own manifest in a cluster with real kubelets and a real runtime, beside a stock node with kernel VXLAN. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { UNDERLAY_DEVICE } from '../../lab/fabric.ts';
import { PREFIX } from '../../lab/kubernetes/board.ts';
import { Cluster } from '../../lab/kubernetes/cluster.ts';
import { WEFT_IMAGE } from '../../lab/kubernetes/cluster-image.ts';
import { type ClusterPod, isReady } from '../../lab/kubernetes/cluster-pod.ts';
import { readManifest, withImage } from '../../lab/kubernetes/manifest.ts';
import {
  attachAll,
  KEEPER_DAEMONS,
  populate,
  serviceAnswers,
  WEFT_DAEMONS,
  weftManifest,
} from '../../lab/kubernetes/populate.ts';
import { WEB_HOST_PORT, WEB_LABEL } from '../../lab/kubernetes/web.ts';
import { pairsOf, waitForPeers } from '../../lab/lab.ts';
import { NumberedStream } from '../../lab/numbered-udp.ts';
import type { Pod } from '../../lab/pod.ts';
import { ping } from '../../lab/traffic.ts';
import { transferHash } from '../../lab/transfer.ts';
import type { StatusPage } from '../../src/api/status.ts';
import type { NodeObject } from '../../src/cluster/kubernetes/object.ts';
import { queuePackets } from '../../src/host/device.ts';
import { projectRoot } from '../../src/shared/root.ts';
import { needs } from '../support/needs.ts';
import { adminPage } from '../support/node-status.ts';

const { after, before, describe, it } = needs('root');

const WEFT = [WEFT_DAEMONS.namespace, WEFT_DAEMONS.label] as const;
const FLANNEL_DAEMONS = {
  namespace: 'kube-flannel',
  name: 'kube-flannel-ds',
  label: 'app=flannel',
};
const FLANNEL = ['kube-flannel', 'app=flannel'] as const;
/** 10 ms of 1,000 packets a second. */
const LOST_MAX = 10;
/** A worker that is killed has as many in its hands at most: on a quiet machine one or two. */
const BATCH = 64;
/** Packets of {@link NumberedStream}. */
const PER_MS = 1;
const FLANNEL_MAC = '02:f1:a0:00:00:01';
const BACKEND_DATA = `${PREFIX}backend-data`;
const DAEMON_SET = '/apis/apps/v1/namespaces/kube-weft/daemonsets/weft';

describe('cluster: two kubelets and a stock node', () => {
  let cluster: Cluster;
  let pods: readonly Pod[];
  let web: readonly ClusterPod[];

  before(async () => {
    cluster = await Cluster.build({ kubelets: 2, kernelNodes: 1 });
    ({ web, pods } = await populate(cluster, weftManifest(), WEFT_DAEMONS));
  });
  after(() => cluster?.close());

  const node = (i: number) => cluster.kubelets[i] ?? assert.fail();

  /** Every pod of a DaemonSet may be another one now. */
  async function allTalk(word: string): Promise<void> {
    const old = new Set(web.map(({ metadata }) => metadata.uid));
    await cluster.until('new pods', async () => {
      const now = await cluster.pods('default', WEB_LABEL);
      return now.filter((pod) => isReady(pod) && !old.has(pod.metadata.uid)).length > 0;
    });
    web = await cluster.readyPods('default', WEB_LABEL);
    pods = [...(await attachAll(cluster, web, word)), ...pods.slice(2)];
    await waitForPeers(pods, [4], 60_000);
  }

  const backendData = async (name: string): Promise<string | undefined> => {
    const { metadata } = await cluster.plane.admin.call<NodeObject>('GET', `/api/v1/nodes/${name}`);
    return metadata?.annotations?.[BACKEND_DATA];
  };

  /** All of them at once; the DaemonSet makes others. */
  async function deleteWeb(): Promise<void> {
    for (const { metadata } of web)
      await cluster.plane.admin.call('DELETE', `/api/v1/namespaces/default/pods/${metadata.name}`);
  }

  const ofDevice = async (what: 'ifindex' | 'tx_queue_len'): Promise<number> =>
    Number((await node(0).namespace.exec('cat', [`/sys/class/net/flannel.1/${what}`])).stdout);

  /** Packets of a queue: as many as last while a kubelet makes the next pod. */
  async function queueOfPod(): Promise<number> {
    const { stdout } = await node(0).namespace.exec('ls', ['/sys/class/net/flannel.1/queues']);
    const queues = stdout.split('\n').filter((name) => name.startsWith('tx-')).length;
    const packets = await ofDevice('tx_queue_len');
    assert.equal(packets, queuePackets(queues, 'a new pod'));
    return packets;
  }

  /**
   * 1,000 packets a second between a pod of the first node and one of the stock node, both ways. The device stays, and no more is lost than
   * that; where a busy machine takes longer than the queues hold, what came after that.
   */
  async function keepsTraffic(
    what: string,
    lostMax: number,
    happen: () => Promise<void>,
  ): Promise<void> {
    const [first, , third] = pods as [Pod, Pod, Pod];
    const index = await ofDevice('ifindex');
    // With room for what goes before and after.
    const queuesMs = ((await queueOfPod()) * 0.75) / PER_MS;
    const streams = {
      out: await NumberedStream.start(first, third),
      in: await NumberedStream.start(third, first),
    };
    await happen();
    for (const [way, stream] of Object.entries(streams)) {
      const { sent, lost, longestGapMs } = await stream.stop();
      const gap = `longest gap ${longestGapMs.toFixed(0)} ms`;
      console.log(`${what}, ${way}: ${lost} of ${sent} lost, ${gap}`);
      const allowed = Math.max(lostMax, (longestGapMs - queuesMs) * PER_MS);
      assert.ok(lost <= allowed, `${what}, ${way}: ${lost} lost, ${gap}`);
    }
    assert.equal(await ofDevice('ifindex'), index, 'the device stayed');
  }

  it('the DaemonSet makes every node ready, and every pod reaches every pod', async () => {
    await waitForPeers(pods, [4], 60_000);
    for (const { from, to } of pairsOf(pods))
      assert.equal((await ping(from, to, { count: 20 })).lossPct, 0, `${from.name} to ${to.name}`);
  });

  it('a ClusterIP answers from both nodes, a host port from outside', async () => {
    const names = web.map(({ metadata }) => metadata.name).sort();
    for (const pod of pods.slice(0, 2)) assert.deepEqual(await serviceAnswers(cluster, pod), names);
    const { namespace } = cluster.kernelNodes[0] ?? assert.fail();
    for (const [i, node] of cluster.kubelets.entries()) {
      const url = `http://${node.underlay.address4}:${WEB_HOST_PORT}/`;
      assert.equal(await cluster.get(namespace, url), web[i]?.metadata.name);
    }
  });

  it('a container with the rights of the manifest has the fast path, and TCP takes it', async () => {
    const statusOf = async (i: number): Promise<StatusPage> => {
      const text = await adminPage(node(i).space.path('/run/weft/weft.sock'), '/status');
      return JSON.parse(text) as StatusPage;
    };
    const fastOf = async (i: number): Promise<StatusPage['fastPath']> =>
      (await statusOf(i)).fastPath;
    for (const i of [0, 1])
      await cluster.until(`n${i + 1}: all peers have it`, async () => {
        const { fastPath, peers } = await statusOf(i);
        return fastPath?.peers === peers.total;
      });
    assert.deepEqual([(await fastOf(0))?.why, (await fastOf(1))?.why], ['', '']);
    const [from, to] = pods as [Pod, Pod];
    const sent = async (): Promise<number> => (await fastOf(0))?.counters['sentBytes'] ?? 0;
    const before = await sent();
    assert.ok((await transferHash(from, to, 10_000_000)).equal);
    assert.ok((await sent()) - before > 5_000_000);
  });

  it('a weft container is killed under traffic: it comes back by itself', async () => {
    const [before] = await cluster.readyPods(...WEFT);
    assert.ok(before);
    const restarts = (pod: ClusterPod): number =>
      pod.status.containerStatuses?.[0]?.restartCount ?? 0;
    await keepsTraffic('killed', BATCH, async () => {
      process.kill(await node(0).pidOf(before.metadata.uid, 'weft'), 'SIGKILL');
      await cluster.readyPods(
        ...WEFT,
        (pod) => pod.spec.nodeName !== 'n1' || restarts(pod) > restarts(before),
      );
    });
  });

  it('weft is upgraded under traffic: node after node has a new pod', async () => {
    const old = new Set((await cluster.readyPods(...WEFT)).map(({ metadata }) => metadata.uid));
    await keepsTraffic('upgraded', LOST_MAX, async () => {
      const annotations = { 'weft.test/version': 'next' };
      const patch = { spec: { template: { metadata: { annotations } } } };
      await cluster.plane.admin.call('PATCH', DAEMON_SET, patch);
      await cluster.readyPods(...WEFT, ({ metadata }) => !old.has(metadata.uid));
    });
  });

  it('a node is drained, loses its power, boots and is back: the same MAC, and all pods talk', async () => {
    const { admin } = cluster.plane;
    const mac = await backendData('n2');
    await admin.patchNode('n2', { spec: { unschedulable: true } });
    const [, second] = web;
    assert.ok(second);
    const path = `/api/v1/namespaces/default/pods/${second.metadata.name}`;
    const metadata = { name: second.metadata.name, namespace: 'default' };
    await admin.call('POST', `${path}/eviction`, {
      apiVersion: 'policy/v1beta1',
      kind: 'Eviction',
      metadata,
    });
    const evicted = async () =>
      !(await cluster.pods('default', WEB_LABEL)).some(
        (pod) => pod.metadata.uid === second.metadata.uid,
      );
    await cluster.until('the end of the evicted pod', evicted);
    await node(1).stop();
    await node(1).boot();
    await admin.patchNode('n2', { spec: { unschedulable: null } });
    await allTalk('b');
    assert.equal(await backendData('n2'), mac);
  });

  it("flannel's own manifest with our image in it: a DaemonSet in the place of the other", async () => {
    await cluster.removeDaemons(WEFT_DAEMONS);
    await cluster.removeDaemons(KEEPER_DAEMONS);
    const file = join(projectRoot(), 'test/kubernetes/kube-flannel.yml');
    await cluster.plane.admin.create(withImage(readManifest(file), WEFT_IMAGE));
    await cluster.readyPods(...FLANNEL);
    // Pods that were there, and pods that are made now.
    await waitForPeers(pods, [4], 60_000);
    await deleteWeb();
    await allTalk('c');
  });

  it('a Node as flannel leaves it: weft takes up its MAC, its device goes, its pods stay', async () => {
    await cluster.removeDaemons(FLANNEL_DAEMONS);
    const { namespace, underlay } = node(0);
    await namespace.ip('link', 'delete', 'flannel.1').catch(() => undefined);
    const vxlan = ['id', '1', 'dev', UNDERLAY_DEVICE, 'local', underlay.address4];
    const rest = ['dstport', '8472', 'nolearning'];
    const device = ['link', 'add', 'flannel.1', 'address', FLANNEL_MAC, 'type', 'vxlan'];
    await namespace.ip(...device, ...vxlan, ...rest);
    await namespace.ip('link', 'set', 'flannel.1', 'up');
    const data = `{"VNI":1,"VtepMAC":"${FLANNEL_MAC}"}`;
    await cluster.plane.admin.patchNode('n1', {
      metadata: { annotations: { [BACKEND_DATA]: data } },
    });
    await cluster.plane.admin.create(weftManifest().filter(({ kind }) => kind === 'DaemonSet'));
    await cluster.readyPods(...WEFT);
    await waitForPeers(pods, [4], 60_000);
    assert.equal(await backendData('n1'), data);
    await deleteWeb();
    await allTalk('d');
  });
});
