/** A pod: a namespace behind a node, as a CNI plugin would set it up. */
import type { Prefix } from '../src/shared/address.ts';
import { addVeth } from './fabric.ts';
import type { LabScope, Namespace } from './namespace.ts';
import { addressInSubnet, type LabNode, withLength } from './node.ts';

/** Device at the node's end; in the pod it is eth0. */
export const POD_DEVICE = 'pod0';

export interface PodAddresses {
  address4?: string;
  address6?: string;
}

/** One pod. The gateway is the first usable address of the node's subnet, the pod has the second. */
export class Pod {
  /** "p1" */
  readonly name: string;
  readonly node: LabNode;
  readonly namespace: Namespace;
  readonly address4: string | undefined;
  readonly address6: string | undefined;

  private constructor(
    name: string,
    node: LabNode,
    namespace: Namespace,
    { address4, address6 }: PodAddresses,
  ) {
    this.name = name;
    this.node = node;
    this.namespace = namespace;
    this.address4 = address4;
    this.address6 = address6;
  }

  /** A pod that somebody else made. */
  static attach(name: string, node: LabNode, namespace: Namespace, addresses: PodAddresses): Pod {
    return new Pod(name, node, namespace, addresses);
  }

  /** Makes the pod behind a started node and turns on forwarding there (rp_filter stays as the kernel has it). */
  static async create(scope: LabScope, name: string, node: LabNode): Promise<Pod> {
    const namespace = await scope.namespace(name);
    const { subnet4, subnet6 } = node.network;
    const pod = new Pod(name, node, namespace, {
      ...(subnet4 && { address4: addressInSubnet(subnet4, 2) }),
      ...(subnet6 && { address6: addressInSubnet(subnet6, 2) }),
    });
    await node.namespace.sysctl({ 'net/ipv4/ip_forward': 1, 'net/ipv6/conf/all/forwarding': 1 });
    await addVeth(node.namespace, POD_DEVICE, namespace, 'eth0');
    const ends: [Namespace, string][] = [
      [node.namespace, POD_DEVICE],
      [namespace, 'eth0'],
    ];
    const mtu = String(node.network.mtu);
    await Promise.all(ends.map(([space, name]) => space.ip('link', 'set', name, 'mtu', mtu, 'up')));
    await pod.#giveAddresses(node.network.subnet4);
    await pod.#giveAddresses(node.network.subnet6, 'nodad');
    return pod;
  }

  /** Address of a family; throws when the lab does not have it. */
  address(family: 4 | 6): string {
    const address = family === 4 ? this.address4 : this.address6;
    if (address === undefined) throw new Error(`pod ${this.name} has no IPv${family} address`);
    return address;
  }

  async #giveAddresses(subnet: Prefix | undefined, ...flags: string[]): Promise<void> {
    if (!subnet) return;
    await this.node.namespace.ip('addr', 'add', withLength(subnet, 1), 'dev', POD_DEVICE, ...flags);
    await this.namespace.ip('addr', 'add', withLength(subnet, 2), 'dev', 'eth0', ...flags);
    await this.namespace.ip(
      'route',
      'add',
      'default',
      'via',
      addressInSubnet(subnet, 1),
      'dev',
      'eth0',
    );
  }
}
