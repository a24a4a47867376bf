/**
 * A whole cluster: a real control plane with controllers and scheduler, nodes with kubelet, containerd and kube-proxy, and stock nodes with
 * kernel VXLAN whose Node objects are annotated by hand. What runs in it comes from manifests.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../src/shared/errors.ts';
import { endCgroups } from '../cgroup.ts';
import { requireCommands, requireRoot } from '../command.ts';
import { buildFabric, STORE_INDEX, underlayAddress } from '../fabric.ts';
import { KernelNode } from '../kernel-node.ts';
import { type OnStep, podCidrs } from '../lab.ts';
import { LabScope, type Namespace } from '../namespace.ts';
import { Pod } from '../pod.ts';
import { KubernetesBoard } from './board.ts';
import { clusterImages } from './cluster-image.ts';
import { type ClusterPod, isReady } from './cluster-pod.ts';
import { ControlPlane } from './control-plane.ts';
import { startControllers } from './controllers.ts';
import { describeCluster } from './describe.ts';
import { KubeletNode } from './kubelet-node.ts';

const REGISTER_MS = 120_000;

/** With a limit, because a dropped SYN has none. */
const GET = `
fetch(process.argv[1], { signal: AbortSignal.timeout(5_000), headers: { connection: 'close' } })
  .then((answer) => answer.text()).then((text) => process.stdout.write(text));
`;

export interface ClusterDescription {
  /** nodes with a kubelet: n1, n2, ... */
  kubelets: number;
  /** stock nodes with kernel VXLAN behind them */
  kernelNodes?: number;
}

/** A running cluster, without any pod. Close it, whatever happened. */
export class Cluster {
  readonly scope: LabScope;
  readonly plane: ControlPlane;
  readonly kubelets: readonly KubeletNode[];
  readonly kernelNodes: readonly KernelNode[];

  private constructor(scope: LabScope, { plane, kubelets, kernelNodes }: Parts) {
    this.scope = scope;
    this.plane = plane;
    this.kubelets = kubelets;
    this.kernelNodes = kernelNodes;
  }

  /** All nodes registered, with their podCIDRs; none Ready, because no network is there yet. */
  static async build(description: ClusterDescription, onStep: OnStep = () => {}): Promise<Cluster> {
    requireRoot();
    requireCommands(['nsenter', 'unshare', 'tar', 'etcd', 'etcdctl', 'openssl']);
    onStep('making namespaces');
    const scope = await LabScope.open();
    try {
      return new Cluster(scope, await setUp(scope, description, onStep));
    } catch (error) {
      await scope.close();
      throw error;
    }
  }

  /** Takes everything down; throws when something stayed. */
  async close(): Promise<void> {
    const failures = await this.scope.close();
    if (failures.length > 0) throw new Error(`could not take down: ${failures.join('; ')}`);
  }

  /** Polls until this returns something that is not undefined, null or false. */
  until<T>(
    what: string,
    look: () => Promise<T | undefined | null | false>,
    timeoutMs = 180_000,
  ): Promise<T> {
    return until(what, look, timeoutMs).catch(async (error: unknown) => {
      throw new Error(
        `${messageOf(error)}\n${await describeCluster(this.plane.admin, this.scope.tempDir)}`,
      );
    });
  }

  /** What a URL answers, asked from there. */
  async get(from: Namespace, url: string): Promise<string> {
    const words = ['-e', GET, url];
    return (await from.exec(process.execPath, words)).stdout;
  }

  /** All pods of a namespace that carry this label. */
  async pods(namespace: string, label: string): Promise<ClusterPod[]> {
    const path = `/api/v1/namespaces/${namespace}/pods?labelSelector=${encodeURIComponent(label)}`;
    const { items } = await this.plane.admin.call<{ items: ClusterPod[] }>('GET', path);
    return items;
  }

  /** Waits until each node with a kubelet has a ready pod of this label, and returns them in the order of the nodes. */
  readyPods(
    namespace: string,
    label: string,
    also: (pod: ClusterPod) => boolean = () => true,
  ): Promise<ClusterPod[]> {
    return this.until(`a ready pod ${label} on each node`, async () => {
      const pods = (await this.pods(namespace, label)).filter((pod) => isReady(pod) && also(pod));
      const inOrder = this.kubelets.map(({ name }) =>
        pods.find(({ spec }) => spec.nodeName === name),
      );
      return inOrder.every((pod) => pod !== undefined) && (inOrder as ClusterPod[]);
    });
  }

  /** Takes a DaemonSet away, and waits until its pods have ended. */
  async removeDaemons({ namespace, name, label }: Daemons): Promise<void> {
    const path = `/apis/apps/v1/namespaces/${namespace}/daemonsets/${name}`;
    await this.plane.admin.call('DELETE', path);
    const gone = async () => (await this.pods(namespace, label)).length === 0;
    await this.until(`the end of all pods ${label}`, gone);
  }

  /** The pod's network, for the lab's traffic. */
  async attach(pod: ClusterPod, name: string): Promise<Pod> {
    const node = this.kubelets.find((each) => each.name === pod.spec.nodeName);
    if (!node) throw new Error(`${pod.metadata.name} runs on no node of the lab`);
    const pid = await node.pidOf(pod.metadata.uid, pod.spec.containers[0]?.name ?? '');
    const namespace = await this.scope.attach(name, pid);
    return Pod.attach(name, node, namespace, { address4: pod.status.podIP ?? '' });
  }
}

/** A DaemonSet and its pods. */
export interface Daemons {
  namespace: string;
  name: string;
  label: string;
}

interface Parts {
  plane: ControlPlane;
  kubelets: readonly KubeletNode[];
  kernelNodes: readonly KernelNode[];
}

async function setUp(
  scope: LabScope,
  { kubelets, kernelNodes = 0 }: ClusterDescription,
  onStep: OnStep,
): Promise<Parts> {
  const spaces: Namespace[] = [];
  for (let i = 1; i <= kubelets + kernelNodes; i++) spaces.push(await scope.namespace(`n${i}`));
  const master = await scope.namespace('kube');
  await buildFabric(scope, spaces, {}, master);
  scope.cleanup.defer('control groups', () => endCgroups(`${scope.prefix}-`));
  const images = imagesIn(scope);
  onStep('starting the API server of Kubernetes');
  const plane = await startPlane(scope, master);
  const board = new KubernetesBoard(plane.admin);
  const stock = spaces.slice(kubelets).map((space, i) => {
    const index = kubelets + i + 1;
    return new KernelNode(`n${index}`, space, underlayAddress(index), {
      index,
      board,
      families: [4],
    });
  });
  const options = { scope, plane, images };
  const nodes = spaces
    .slice(0, kubelets)
    .map((space, i) => new KubeletNode(`n${i + 1}`, space, underlayAddress(i + 1), options));
  onStep('starting containerd and kubelet');
  await Promise.all([startControllers(plane, master, scope), ...nodes.map((node) => node.start())]);
  for (const i of nodes.keys()) await giveSubnet(plane, i + 1);
  for (const node of stock) {
    await plane.admin.addNode(node.name, podCidrs(nodes.length + stock.indexOf(node) + 1, [4]));
    scope.cleanup.defer(`follower of ${node.name}`, () => node.stopFollowing());
    await node.start();
  }
  return { plane, kubelets: nodes, kernelNodes: stock };
}

function imagesIn(scope: LabScope): Promise<string> {
  const folder = join(scope.tempDir, 'images');
  mkdirSync(folder);
  const images = clusterImages(folder);
  images.catch(() => undefined); // whoever waits for it hears of it
  return images;
}

async function startPlane(scope: LabScope, namespace: Namespace): Promise<ControlPlane> {
  const plane = await ControlPlane.create({
    folder: join(scope.tempDir, 'control-plane'),
    network: { namespace, address: underlayAddress(STORE_INDEX).address4 },
  });
  scope.cleanup.defer('API server', () => plane.close());
  return plane;
}

/** A kubelet makes its Node itself, and does not stand one that was made before. */
async function giveSubnet(plane: ControlPlane, index: number): Promise<void> {
  const give = async (): Promise<true> => {
    await plane.admin.patchNode(`n${index}`, { spec: podCidrs(index, [4]) });
    return true;
  };
  await until(`the Node n${index}`, give, REGISTER_MS);
}

async function until<T>(
  what: string,
  look: () => Promise<T | undefined | null | false>,
  timeoutMs: number,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  let last = '';
  for (;;) {
    try {
      const found = await look();
      if (found) return found;
    } catch (error) {
      last = messageOf(error);
    }
    if (Date.now() > deadline) throw new Error(`${what}: not in ${timeoutMs / 1000} s ${last}`);
    await sleep(500); // each look is a process of its own
  }
}
