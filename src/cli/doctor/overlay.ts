/** The overlay's devices and figures on this node, from the network config. */
import { kindOf } from '../../cluster/kinds/all.ts';
import { formatPrefix } from '../../shared/address.ts';
import type { Site } from './site.ts';

export interface Overlay {
  /** by family */
  devices: Map<4 | 6, string>;
  /** UDP port; undefined where there is none */
  port: number | undefined;
  /** VXLAN's network identifier; undefined where there is none */
  vni: number | undefined;
  /** what `ip -d link` calls the devices' kind */
  linkKind: string | undefined;
  /** bytes in front of a pod's packet, at most */
  overheadBytes: number;
  /** the underlay's MTU that the config asks for; undefined = the interface's */
  outerMtu: number | undefined;
  networks: string[];
}

const NONE: Overlay = {
  devices: new Map(),
  port: undefined,
  vni: undefined,
  linkKind: undefined,
  overheadBytes: 0,
  outerMtu: undefined,
  networks: [],
};

/** Empty where there is no usable config. */
export async function overlayOf(site: Site): Promise<Overlay> {
  const config = await site.config();
  if (!config) return NONE;
  const { backend, ipv4, ipv6 } = config;
  const networks = [ipv4, ipv6].flatMap((range) => (range ? formatPrefix(range.network) : []));
  const kind = kindOf(backend);
  const devices = new Map<4 | 6, string>();
  if (ipv4 && kind.devices) devices.set(4, kind.devices.name(backend, 4));
  if (ipv6 && kind.devices) devices.set(6, kind.devices.name(backend, 6));
  const encap = kind.tunnel?.(backend).encap;
  return {
    devices,
    port: encap?.port,
    vni: encap && 'vni' in encap ? encap.vni : undefined,
    linkKind: kind.devices?.linkKind,
    overheadBytes: kind.overheadBytes(ipv6 ? 6 : 4),
    outerMtu: kind.outerMtu(backend),
    networks,
  };
}
