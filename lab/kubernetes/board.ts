/** Stock nodes in a Kubernetes cluster: what flanneld writes to a Node and reads of the others, without weft's own code. */
import type { LeaseBoard } from '../lease-board.ts';
import type { KubernetesAdmin } from './admin.ts';

/** Of flannel's annotations; on purpose not weft's own constant. */
export const PREFIX = 'flannel.alpha.coreos.com/';

interface BoardNode {
  metadata: { name: string; annotations?: Record<string, string> };
  spec: { podCIDR?: string; podCIDRs?: string[] };
}

/** The Nodes are there already, with their subnets. */
export class KubernetesBoard implements LeaseBoard {
  readonly pollMs = 1_000;
  private readonly admin: KubernetesAdmin;

  constructor(admin: KubernetesAdmin) {
    this.admin = admin;
  }

  async read(): Promise<Map<string, string>> {
    const nodes = await this.nodes();
    return new Map(nodes.flatMap((node) => [[keyOf(node), valueFrom(node)] as const]));
  }

  /** Annotates the Node that has this subnet. */
  async write(key: string, value: string): Promise<void> {
    const node = (await this.nodes()).find((each) => keyOf(each) === key);
    if (!node) throw new Error(`no Node has the subnet ${key}`);
    await this.admin.patchNode(node.metadata.name, {
      metadata: { annotations: annotationsOf(value) },
    });
  }

  /** The Node goes: flanneld itself takes nothing back. */
  async remove(key: string): Promise<void> {
    const node = (await this.nodes()).find((each) => keyOf(each) === key);
    if (node) await this.admin.deleteNode(node.metadata.name);
  }

  private async nodes(): Promise<BoardNode[]> {
    const { items } = await this.admin.call<{ items: BoardNode[] }>('GET', '/api/v1/nodes');
    return items.filter(({ spec }) => spec.podCIDR);
  }
}

function keyOf({ spec }: BoardNode): string {
  const { podCIDRs = [spec.podCIDR ?? ''] } = spec;
  // As keys of etcd are for nodes without IPv4.
  const all = podCIDRs.every((text) => text.includes(':')) ? ['0.0.0.0/0', ...podCIDRs] : podCIDRs;
  return all.map((text) => text.replace('/', '-')).join('&');
}

/** '' of a node that nobody annotated: no stock node follows that. */
function valueFrom({ metadata: { annotations = {} } }: BoardNode): string {
  const of = (name: string): string | undefined => annotations[PREFIX + name];
  if (of('kube-subnet-manager') !== 'true') return '';
  const parse = (text: string | undefined): unknown => JSON.parse(text ?? 'null');
  return JSON.stringify({
    PublicIP: of('public-ip') ?? '0.0.0.0',
    PublicIPv6: of('public-ipv6') ?? null,
    BackendType: of('backend-type'),
    BackendData: parse(of('backend-data')),
    BackendV6Data: parse(of('backend-v6-data')),
  });
}

function annotationsOf(value: string): Record<string, string> {
  const lease = JSON.parse(value) as Record<string, unknown>;
  const { PublicIP, PublicIPv6, BackendType, BackendData, BackendV6Data } = lease;
  return {
    [`${PREFIX}kube-subnet-manager`]: 'true',
    [`${PREFIX}backend-type`]: String(BackendType),
    ...(BackendData
      ? {
          [`${PREFIX}backend-data`]: JSON.stringify(BackendData),
          [`${PREFIX}public-ip`]: String(PublicIP),
        }
      : {}),
    ...(BackendV6Data
      ? {
          [`${PREFIX}backend-v6-data`]: JSON.stringify(BackendV6Data),
          [`${PREFIX}public-ipv6`]: String(PublicIPv6),
        }
      : {}),
  };
}
