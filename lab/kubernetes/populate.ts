/** Puts weft, from a manifest, and pods that answer into a cluster. */
import { join } from 'node:path';
import type { KubernetesObject } from '../../src/cluster/kubernetes/object.ts';
import { projectRoot } from '../../src/shared/root.ts';
import type { OnStep } from '../lab.ts';
import { Pod } from '../pod.ts';
import type { Cluster, ClusterPod } from './cluster.ts';
import { WEFT_IMAGE } from './cluster-image.ts';
import { readManifest, withImage } from './manifest.ts';
import { WEB_LABEL, webObjects } from './web.ts';

/** Which pods are a DaemonSet's. */
export interface Daemons {
  namespace: string;
  label: string;
}

/** Those of weft's own manifest. */
export const WEFT_DAEMONS: Daemons = {
  namespace: 'kube-weft',
  label: 'app.kubernetes.io/name=weft',
};

export interface Population {
  /** a pod on each node with a kubelet, in the order of the nodes */
  web: readonly ClusterPod[];
  /** those, and one behind each stock node */
  pods: readonly Pod[];
}

/** The objects of deploy/kubernetes/weft.yaml with the lab's image, and nothing else changed. */
export function weftManifest(): KubernetesObject[] {
  return withImage(readManifest(join(projectRoot(), 'deploy/kubernetes/weft.yaml')), WEFT_IMAGE);
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
  const pods: Pod[] = [];
  for (const pod of web) pods.push(await cluster.attach(pod, `p${pods.length + 1}`));
  for (const node of cluster.kernelNodes)
    pods.push(await Pod.create(cluster.scope, `p${pods.length + 1}`, node));
  return { web, pods };
}
