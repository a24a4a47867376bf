/** /kubernetes: this node's Node object, as the API server has it now. */
import * as z from 'zod';

const part = z.record(z.string(), z.unknown());

export const kubernetesShape = z.object({
  node: z
    .object({
      metadata: part.describe("name, uid, times, and annotations of flannel's names"),
      spec: part.describe('podCIDRs, taints'),
      status: part.describe('conditions, addresses, nodeInfo'),
    })
    .nullable()
    .describe('null where the store is not Kubernetes'),
});
export type KubernetesPage = z.infer<typeof kubernetesShape>;
