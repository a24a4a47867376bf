/** The API server as its administrator uses it, in whatever network it is. */
import { KubernetesClient } from '../../src/cluster/kubernetes/client.ts';
import { readKubeconfig } from '../../src/cluster/kubernetes/kubeconfig.ts';
import type { KubernetesObject, NodeObject } from '../../src/cluster/kubernetes/object.ts';
import type { Namespace } from '../namespace.ts';
import { labProgram } from '../root.ts';
import { readManifest } from './manifest.ts';

/** Collections by kind; those of a namespace stand in "namespaces/NAME/". */
const COLLECTIONS: Readonly<Record<string, { group: string; name: string; isNamespaced?: true }>> =
  {
    Namespace: { group: 'api/v1', name: 'namespaces' },
    Node: { group: 'api/v1', name: 'nodes' },
    ServiceAccount: { group: 'api/v1', name: 'serviceaccounts', isNamespaced: true },
    ConfigMap: { group: 'api/v1', name: 'configmaps', isNamespaced: true },
    Pod: { group: 'api/v1', name: 'pods', isNamespaced: true },
    Service: { group: 'api/v1', name: 'services', isNamespaced: true },
    DaemonSet: { group: 'apis/apps/v1', name: 'daemonsets', isNamespaced: true },
    ClusterRole: { group: 'apis/rbac.authorization.k8s.io/v1', name: 'clusterroles' },
    ClusterRoleBinding: { group: 'apis/rbac.authorization.k8s.io/v1', name: 'clusterrolebindings' },
  };

export type NodeWish = {
  podCIDR?: string;
  podCIDRs?: string[];
  annotations?: Record<string, string>;
};

export class KubernetesAdmin {
  private readonly kubeconfig: string;
  private readonly namespace: Namespace | undefined;
  private client: KubernetesClient | undefined;

  /** With a network namespace each call is made by a process inside. */
  constructor(kubeconfig: string, namespace?: Namespace) {
    this.kubeconfig = kubeconfig;
    this.namespace = namespace;
  }

  /** One call; the answer as JSON. Throws with what the server said. */
  async call<T = KubernetesObject>(method: string, path: string, body?: object): Promise<T> {
    const { kubeconfig, namespace } = this;
    if (namespace) {
      const words = [labProgram('kubernetes-call'), kubeconfig, method, path];
      const input = body === undefined ? '' : JSON.stringify(body);
      const { stdout } = await namespace.exec(process.execPath, words, { input });
      return JSON.parse(stdout) as T;
    }
    this.client ??= new KubernetesClient(await readKubeconfig(kubeconfig, undefined));
    return method === 'PATCH'
      ? this.client.patch(path, body ?? {})
      : this.client.call(method, path, { body });
  }

  /** Makes objects, in their order; a string is the file of a manifest. */
  async create(manifest: string | readonly KubernetesObject[]): Promise<void> {
    const objects = typeof manifest === 'string' ? readManifest(manifest) : manifest;
    for (const object of objects) await this.call('POST', collectionOf(object), object);
  }

  async addNode(name: string, wish: NodeWish = {}): Promise<NodeObject> {
    const { annotations = {}, ...spec } = wish;
    const metadata = { name, annotations };
    return this.call('POST', '/api/v1/nodes', { kind: 'Node', apiVersion: 'v1', metadata, spec });
  }

  async patchNode(name: string, patch: object): Promise<void> {
    await this.call('PATCH', `/api/v1/nodes/${name}`, patch);
  }

  async deleteNode(name: string): Promise<void> {
    await this.call('DELETE', `/api/v1/nodes/${name}`);
  }

  /** A token of a ServiceAccount, good for ten minutes, the least that the server gives. */
  async token(namespace: string, serviceAccount: string): Promise<string> {
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${serviceAccount}/token`;
    const request = { kind: 'TokenRequest', apiVersion: 'authentication.k8s.io/v1' };
    const body = { ...request, spec: { expirationSeconds: 600 } };
    const { status } = await this.call<{ status: { token: string } }>('POST', path, body);
    return status.token;
  }

  close(): void {
    this.client?.close();
    this.client = undefined;
  }
}

function collectionOf({ kind = '', metadata }: KubernetesObject): string {
  const collection = COLLECTIONS[kind];
  if (!collection) throw new Error(`the lab does not know where objects of kind ${kind} belong`);
  const { group, name, isNamespaced } = collection;
  const where = isNamespaced ? `namespaces/${metadata?.namespace ?? 'default'}/` : '';
  return `/${group}/${where}${name}`;
}
