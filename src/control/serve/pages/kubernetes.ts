/** /kubernetes: this node's Node object, asked of the API server now. */
import { type KubernetesPage, kubernetesShape } from '../../../api/kubernetes.ts';
import type { Node } from '../../node.ts';

export async function kubernetesPage({ registry }: Node): Promise<KubernetesPage> {
  return kubernetesShape.parse({ node: (await registry.ownObject?.read()) ?? null });
}
