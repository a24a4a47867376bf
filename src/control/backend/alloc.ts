/** alloc: leases a subnet and carries nothing (flannel pkg/backend/alloc). Also what all backends without a data plane share. */

import { ALLOC_KIND } from '../../cluster/kinds/alloc.ts';
import type { LeaseAttributes, LeaseSubnets } from '../../cluster/lease/lease.ts';
import { asNew, type Peer, type PeerChange } from '../../cluster/peers.ts';
import type { ExternalInterface } from '../../host/external-interface.ts';
import { sumBlocks } from '../../memory/counters.ts';
import {
  type Backend,
  type BackendContext,
  type BackendStatus,
  publicAttributes,
} from './backend.ts';

export class AllocBackend implements Backend {
  protected readonly context: BackendContext;

  constructor(context: BackendContext) {
    this.context = context;
  }

  async open(): Promise<void> {
    // takes nothing from the host
  }

  async attributes(): Promise<LeaseAttributes> {
    return publicAttributes(this.context.external, ALLOC_KIND.publishes);
  }

  async start(_subnets: LeaseSubnets, peers: readonly Peer[]): Promise<void> {
    await this.apply(asNew(peers));
  }

  async apply(_changes: readonly PeerChange[]): Promise<void> {
    // sends to nobody
  }

  async heal(): Promise<string> {
    return '';
  }

  async move(external: ExternalInterface): Promise<void> {
    this.context.external = external;
  }

  podMtu(): number {
    return this.context.external.mtu;
  }

  isForwarding(): boolean {
    return true;
  }

  status(): BackendStatus {
    return {
      devices: [],
      offloads: [],
      shortcuts: [],
      workers: [],
      table: null,
      totals: sumBlocks([]),
      pastWorkers: sumBlocks([]),
    };
  }

  failWorker(index: number): void {
    throw new RangeError(`there is no worker ${index}`);
  }

  async close(): Promise<void> {
    // holds nothing
  }
}
