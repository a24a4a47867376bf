/** Puts weft, from a manifest, and pods that answer into a cluster. */
import { join } from 'node:path';
import type { KubernetesObject } from '../../src/cluster/kubernetes/object.ts';
import { projectRoot } from '../../src/shared/root.ts';
import type { OnStep } from '../lab.ts';
import { Pod } from '../pod.ts';
import type { Cluster, Daemons } from './cluster.ts';
import { WEFT_IMAGE } from './cluster-image.ts';
import type { ClusterPod } from './cluster-pod.ts';
import { readManifest, withImage } from './manifest.ts';
import { WEB_LABEL, WEB_SERVICE, webObjects } from './web.ts';

/** Those of weft's own manifest. */
export const WEFT_DAEMONS: Daemons = {
  namespace: 'kube-weft',
  name: 'weft',
  label: 'app.kubernetes.io/name=weft',
};

/** Those of the keeper's. */
export const KEEPER_DAEMONS: Daemons = {
  namespace: 'kube-weft',
  name: 'weft-keeper',
  label: 'app.kubernetes.io/name=weft-keeper',
};

export interface Population {
  /** a pod on each node with a kubelet, in the order of the nodes */
  web: readonly ClusterPod[];
  /** those, and one behind each stock node */
  pods: readonly Pod[];
}

/** What to apply for weft with its keeper, with the lab's image in it and nothing else changed. */
export function weftManifest(): KubernetesObject[] {
  const folder = join(projectRoot(), 'deploy/kubernetes');
  const objects = ['weft.yaml', 'keeper.yaml'].flatMap((name) => readManifest(join(folder, name)));
  return withImage(objects, WEFT_IMAGE);
}

/** Resolves when all daemons and all pods are ready. */
export async function populate(
  cluster: Cluster,
  manifest: readonly KubernetesObject[],
  { namespace, label }: Daemons,
  onStep: OnStep = () => {},
): Promise<Population> {
  onStep('applying the manifests');
  await cluster.plane.admin.create([...manifest, ...webObjects()]);
  onStep('waiting for the DaemonSet');
  await cluster.readyPods(namespace, label);
  onStep('waiting for the pods');
  const web = await cluster.readyPods('default', WEB_LABEL);
  const pods = await attachAll(cluster, web);
  for (const node of cluster.kernelNodes)
    pods.push(await Pod.create(cluster.scope, `p${pods.length + 1}`, node));
  return { web, pods };
}

/** The networks of these pods, named p1, p2, ... and then the word behind. */
export async function attachAll(
  cluster: Cluster,
  web: readonly ClusterPod[],
  word = '',
): Promise<Pod[]> {
  const pods: Pod[] = [];
  for (const pod of web) pods.push(await cluster.attach(pod, `p${pods.length + 1}${word}`));
  return pods;
}

/** Asks the Service from a pod until every pod behind it has answered; their names, in order. */
export async function serviceAnswers(cluster: Cluster, from: Pod): Promise<string[]> {
  const seen = new Set<string>();
  await cluster.until(`an answer of every pod to ${from.name}`, async () => {
    seen.add(await cluster.get(from.namespace, `http://${WEB_SERVICE}/`));
    return seen.size === cluster.kubelets.length;
  });
  return [...seen].sort();
}
