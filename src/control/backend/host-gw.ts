/** host-gw: plain routes to the other nodes' subnets through the underlay (flannel pkg/backend/hostgw). They stay on exit. */

import { HOST_GATEWAY_KIND } from '../../cluster/kinds/host-gw.ts';
import type { LeaseAttributes } from '../../cluster/lease/lease.ts';
import type { Peer, PeerChange } from '../../cluster/peers.ts';
import type { ExternalInterface } from '../../host/external-interface.ts';
import type { Route } from '../../host/routes.ts';
import { formatAddress, sameWords } from '../../shared/address.ts';
import { EXIT, WeftError } from '../../shared/errors.ts';
import { AllocBackend } from './alloc.ts';
import { publicAttributes } from './backend.ts';

export class HostGatewayBackend extends AllocBackend {
  private readonly peers = new Map<string, Peer>();

  override async open(): Promise<void> {
    const { address4, public4, address6, public6 } = this.context.external;
    for (const [local, published] of [
      [address4, public4],
      [address6, public6],
    ]) {
      if (!local || !published || sameWords(local, published)) continue;
      throw new WeftError(
        'ERR_PUBLIC_IP',
        EXIT.failure,
        `host-gw: peers route straight to ${formatAddress(local)}, so the public address can't be ` +
          `${formatAddress(published)}; remove --public-ip or use vxlan`,
      );
    }
  }

  override async attributes(): Promise<LeaseAttributes> {
    return publicAttributes(this.context.external, HOST_GATEWAY_KIND.publishes);
  }

  override async apply(changes: readonly PeerChange[]): Promise<void> {
    const { routes } = this.context;
    for (const { id, before, after } of changes) {
      if (after) this.peers.set(id, after);
      else this.peers.delete(id);
      routes.change('peers', before && this.routeTo(before), after && this.routeTo(after));
    }
    await routes.syncChanges();
  }

  override async move(external: ExternalInterface): Promise<void> {
    await super.move(external);
    const { routes } = this.context;
    routes.set(
      'peers',
      [...this.peers.values()].map((peer) => this.routeTo(peer)),
    );
    await routes.sync();
  }

  private routeTo({ key: peer, subnet, address }: Peer): Route {
    return { prefix: subnet, gateway: address, device: this.context.external.name, peer };
  }
}
