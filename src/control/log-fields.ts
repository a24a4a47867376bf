/** Fields of the first lines, from which a reader knows the node: docs/reference/logs.md. */

import type { Lease } from '../cluster/lease/lease.ts';
import type { ExternalInterface } from '../host/external-interface.ts';
import { formatAddress } from '../shared/address.ts';
import type { Backend } from './backend/backend.ts';
import type { Daemon } from './daemon.ts';

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
export function readyFields(daemon: Daemon, backend: Backend): object {
  const { config, external, keeper, peers } = daemon;
  const { workers, offloads } = backend.status();
  return {
    backend: config?.backend.type,
    interface: external?.name,
    lease: keeper?.lease.key,
    mtu: backend.podMtu(),
    peers: peers.length,
    workers: workers.length,
    offloads,
  };
}
