/** What faults act on: the lab, and the clock of the node whose clock can be moved. */
import type { EtcdServer } from '../etcd.ts';
import type { KernelNode } from '../kernel-node.ts';
import type { Lab } from '../lab.ts';
import type { NodeClock } from '../node-clock.ts';
import type { WeftNode } from '../weft-node.ts';

export class Scene {
  readonly lab: Lab;
  readonly clock: NodeClock;
  /** what the store's config was at the start */
  readonly config: string;

  constructor(lab: Lab, clock: NodeClock, config: string) {
    this.lab = lab;
    this.clock = clock;
    this.config = config;
  }

  weft(i: number): WeftNode {
    return this.lab.weftNodes[i] as WeftNode;
  }

  get kernel(): KernelNode {
    return this.lab.kernelNodes[0] as KernelNode;
  }

  get etcd(): EtcdServer {
    if (!this.lab.etcd) throw new Error('this lab has no etcd');
    return this.lab.etcd;
  }
}
