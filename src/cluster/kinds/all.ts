/** The table of all kinds. Functions that meet the text of a Backend.Type take a table, which is this one unless a test extends it. */
import { ALLOC_KIND } from './alloc.ts';
import { EXTENSION_KIND } from './extension.ts';
import { HOST_GATEWAY_KIND } from './host-gw.ts';
import type { BackendConfig, Kind, TunnelKind } from './kind.ts';
import { UDP_KIND } from './udp.ts';
import { VXLAN_KIND } from './vxlan.ts';

export type Kinds = readonly Kind[];

const ALL = [VXLAN_KIND, UDP_KIND, HOST_GATEWAY_KIND, ALLOC_KIND, EXTENSION_KIND] as const;
export const KINDS: Kinds = ALL;

/** The config of any kind of the table; `type` tells which. */
export type KnownConfig = ReturnType<(typeof ALL)[number]['parse']>;

/** flannel's other types: they need kernel modules or a cloud that weft has no part in. */
export const NOT_YET: readonly string[] = ['wireguard', 'ipip', 'ipsec', 'tencent-vpc'];

/** The kind that a config without Backend has: flannel's real default. */
export const USUAL_KIND: Kind = UDP_KIND;

/** undefined for the name of a kind that this weft does not know. */
export function kindNamed(type: string, kinds: Kinds = KINDS): Kind | undefined {
  return kinds.find((kind) => kind.type === type);
}

/** The kind that parsed this config. */
export function kindOf<C extends BackendConfig>(config: C, kinds: Kinds = KINDS): Kind<C> {
  const kind = kindNamed(config.type, kinds);
  if (!kind) throw new Error(`backend ${config.type} is not in the table of kinds`);
  return kind as Kind<C>; // the table pairs types and kinds
}

/** The same, of a config whose packets pass through the userspace data plane. */
export function tunnelKindOf<C extends BackendConfig>(config: C, kinds?: Kinds): TunnelKind<C> {
  const kind = kindOf(config, kinds);
  const { devices, tunnel } = kind;
  if (!devices || !tunnel) throw new Error(`backend ${config.type} has no tunnel`);
  return { ...kind, devices, tunnel };
}
