/** A lab with a Kubernetes cluster: what its administrator sees and does. */
import assert from 'node:assert/strict';
import type { NodeWish } from '../../lab/kubernetes/admin.ts';
import { PREFIX } from '../../lab/kubernetes/board.ts';
import type { ControlPlane } from '../../lab/kubernetes/control-plane.ts';
import type { Lab } from '../../lab/lab.ts';
import type { WeftNode } from '../../lab/weft-node.ts';

export interface NodeView {
  metadata: { uid: string; annotations?: Record<string, string> };
  spec: { podCIDR?: string; podCIDRs?: string[] };
  status: { conditions?: { type: string; status: string; reason: string; message: string }[] };
}

export interface EventView {
  metadata: { name: string };
  involvedObject: { kind: string; name: string; uid: string };
  reason: string;
  message: string;
  type: string;
  count: number;
  source: { component: string; host: string };
}

export class Cluster {
  readonly lab: Lab;

  constructor(lab: Lab) {
    this.lab = lab;
  }

  get plane(): ControlPlane {
    const { controlPlane } = this.lab;
    assert.ok(controlPlane);
    return controlPlane;
  }

  /** The i-th that runs weft, counted from 0. */
  node(i: number): WeftNode {
    const node = this.lab.weftNodes[i];
    assert.ok(node);
    return node;
  }

  view(name: string): Promise<NodeView> {
    return this.plane.admin.call<NodeView>('GET', `/api/v1/nodes/${name}`);
  }

  async annotate(name: string, annotations: Record<string, string | null>): Promise<void> {
    await this.plane.admin.patchNode(name, { metadata: { annotations } });
  }

  /** undefined also where there is no such Node. */
  async annotation(name: string, suffix: string): Promise<string | undefined> {
    const view = await this.view(name).catch(() => undefined);
    return view?.metadata.annotations?.[PREFIX + suffix];
  }

  /** On this Node, from weft. */
  async events(name: string): Promise<EventView[]> {
    const path = '/api/v1/namespaces/default/events';
    const { items } = await this.plane.admin.call<{ items: EventView[] }>('GET', path);
    return items.filter((event) => event.involvedObject.name === name);
  }
}

/** What flanneld writes to the Node of a host with this address; `n` makes MACs differ. */
export function stockNode(n: number, publicIp: string, podCIDR: string): NodeWish {
  const mac = `02:00:00:00:77:${n.toString(16).padStart(2, '0')}`;
  return {
    ...{ podCIDR, podCIDRs: [podCIDR] },
    annotations: {
      [`${PREFIX}kube-subnet-manager`]: 'true',
      [`${PREFIX}backend-type`]: 'vxlan',
      [`${PREFIX}backend-data`]: `{"VNI":1,"VtepMAC":"${mac}"}`,
      [`${PREFIX}public-ip`]: publicIp,
    },
  };
}
