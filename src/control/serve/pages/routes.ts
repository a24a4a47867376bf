/** /routes?address=A: which way a pod's packet to an address takes, from the table in force and the kernel's routes. */
import type { Encapsulation, KernelRoute, RoutePage } from '../../../api/routes.ts';
import { kindOf } from '../../../cluster/kinds/all.ts';
import type { NetworkConfig } from '../../../cluster/network-config.ts';
import type { Peer } from '../../../cluster/peers.ts';
import { nodeNameOf } from '../../../cluster/registry.ts';
import { type Exec, exec } from '../../../host/exec.ts';
import { ipJson, ROUTE } from '../../../host/ip-json.ts';
import {
  familyOf,
  formatAddress,
  formatMac,
  formatPrefix,
  parseAddress,
  prefixContains,
  type Words,
} from '../../../shared/address.ts';
import { messageOf } from '../../../shared/errors.ts';
import { underlayAddress } from '../../backend/backend.ts';
import type { Node } from '../../node.ts';

/** Throws when the address is none, or before the daemon knows the network. */
export async function routesPage(node: Node, text: string, run: Exec = exec): Promise<RoutePage> {
  const address = parseAddress(text);
  if (!address) throw new Error(`"${text}" is not an IP address`);
  const { config, lease, backend } = node;
  if (!config || !lease || !backend) throw new Error(`not ready: ${node.phase}`);
  const family = familyOf(address);
  const own = family === 4 ? lease.lease.subnet4 : lease.lease.subnet6;
  const range = family === 4 ? config.ipv4 : config.ipv6;
  const kernel = await kernelRoute(address, run);
  const isInside = range !== undefined && prefixContains(range.network, address);
  const peer = isInside ? peerOf(node.peers, address) : undefined;
  const overlay = backend.status().devices.find((each) => each.family === family);
  const isDirect = kernel.device !== null && kernel.device !== overlay?.device;
  const wayInside = peer ? (isDirect ? 'direct' : 'peer') : 'unleased';
  const isOwn = own !== undefined && prefixContains(own, address);
  const way = isOwn ? 'own' : isInside ? wayInside : 'outside';
  const isTunnelled = way === 'peer' && overlay !== undefined && peer !== undefined;
  return {
    address: formatAddress(address),
    family,
    way,
    network: range ? formatPrefix(range.network) : null,
    ownSubnet: own ? formatPrefix(own) : null,
    peer: peer ? peerJson(peer, node) : null,
    kernel,
    encapsulation: isTunnelled ? encapsulationJson(node, config, peer, overlay.mac) : null,
    underlay: isTunnelled ? await kernelRoute(peer.address, run) : null,
    mtu: isTunnelled ? overlay.mtu : null,
    podMtu: backend.podMtu(),
  };
}

/** The most special subnet wins, as in the workers' table. */
function peerOf(peers: readonly Peer[], address: Words): Peer | undefined {
  const found = peers.filter(({ subnet }) => prefixContains(subnet, address));
  return found.sort((a, b) => b.subnet.bits - a.subnet.bits)[0];
}

function peerJson({ key, subnet, address }: Peer, { registry }: Node): RoutePage['peer'] {
  const nodeName = nodeNameOf(registry, key);
  return { key, nodeName, subnet: formatPrefix(subnet), publicIp: formatAddress(address) };
}

/** null where something else than the workers puts it in front. */
function encapsulationJson(
  { external }: Node,
  { backend }: NetworkConfig,
  { family, address, port, mac }: Peer,
  ownMac: string | null,
): Encapsulation | null {
  const kind = kindOf(backend);
  const tunnel = kind.tunnel?.(backend);
  if (!tunnel) return null;
  return {
    type: kind.type,
    source: external ? formatAddress(underlayAddress(external, family)) : null,
    destination: formatAddress(address),
    port,
    ...('vni' in tunnel.encap && { vni: tunnel.encap.vni }),
    ...(tunnel.vtep && { sourceMac: ownMac, destinationMac: formatMac(mac) }),
    overheadBytes: kind.overheadBytes(family),
  };
}

async function kernelRoute(address: Words, run: Exec): Promise<KernelRoute> {
  const none = { device: null, gateway: null, source: null };
  try {
    const args = ['route', 'get', formatAddress(address)];
    const [route] = await ipJson(ROUTE, args, run);
    const { dev, gateway, prefsrc, type } = route ?? {};
    const problem = type !== undefined && type !== 'local' ? type : null;
    const device = dev ?? null;
    return { device, gateway: gateway ?? null, source: prefsrc ?? null, problem };
  } catch (error) {
    return { ...none, problem: messageOf(error).replace(/^ip [^:]*: /, '') };
  }
}
