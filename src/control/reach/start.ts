/** The reach of a node, begun when its overlay is up. */
import type { Addon } from '../../memory/addon.ts';
import { formatAddress, type Words } from '../../shared/address.ts';
import type { Log } from '../log/log.ts';
import type { Node } from '../node.ts';
import { selfNode } from './matrix.ts';
import { Reach } from './reach.ts';

/** Of a node whose backend has devices of its own; other backends have no address in the overlay to send echoes from. */
export function startReach(
  node: Node,
  addon: Addon,
  log: Log,
  deviceWith: (address: Words) => string | undefined,
): Reach | undefined {
  const { lease, external, backend, settings } = node;
  if (!lease || !external || !backend || backend.status().devices.length === 0) return undefined;
  const { key, subnet4, subnet6 } = lease.lease;
  const publicIps = [external.public4, external.public6].flatMap((ip) =>
    ip ? formatAddress(ip) : [],
  );
  const reach = new Reach({
    addon,
    log,
    self: selfNode(
      key,
      [subnet4, subnet6].flatMap((subnet) => subnet ?? []),
      publicIps,
    ),
    registry: node.registry,
    sources: { ...(subnet4 && { 4: subnet4.words }), ...(subnet6 && { 6: subnet6.words }) },
    deviceWith,
    peers: () => node.peers,
    podMtu: () => backend.podMtu(),
    probeMs: settings.probeMs,
    port: settings.reachPort,
  });
  reach.start();
  return reach;
}
