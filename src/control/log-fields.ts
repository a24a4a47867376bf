/** Fields of the first lines, from which a reader knows the node: docs/reference/logs.md. */

import type { Lease } from '../cluster/lease/lease.ts';
import type { ExternalInterface } from '../host/external-interface.ts';
import { formatAddress } from '../shared/address.ts';
import type { BackendFacts } from './backend/backend.ts';
import type { Node } from './node.ts';

export function underlayFields({ mtu, public4, public6 }: ExternalInterface): object {
  return {
    mtu,
    ...(public4 && { publicIp: formatAddress(public4) }),
    ...(public6 && { publicIpv6: formatAddress(public6) }),
  };
}

export function expiryField({ expiresAtMs }: Lease): object {
  return expiresAtMs === undefined ? {} : { expiresAt: new Date(expiresAtMs).toISOString() };
}

/** One line that tells all of this node. */
export function readyFields(node: Node, backend: BackendFacts): object {
  const { config, external, lease, peers } = node;
  const { workers, offloads } = backend.status();
  return {
    backend: config?.backend.type,
    interface: external?.name,
    lease: lease?.lease.key,
    mtu: backend.podMtu(),
    peers: peers.length,
    workers: workers.length,
    offloads,
  };
}
