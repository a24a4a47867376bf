/**
 * Routes of somebody else that take a peer's packets: the bridge of an earlier cluster, a Docker network. The kernel prefers the more
 * special route, so ours are in force only where no other lies in front of them.
 */
import { formatPrefix, holdsPrefix, type Prefix } from '../shared/address.ts';
import type { AddressedLink, IpRoute } from './ip-json.ts';
import { hasOwnName } from './own-devices.ts';
import { prefixOf, type RouteKeeper } from './routes.ts';

/** A subnet that should be reached through the overlay, and whose it is. */
export interface Reached {
  key: string;
  subnet: Prefix;
}

export interface Shadow extends Reached {
  route: IpRoute;
}

/** The first shadow of each subnet. `own`: this node's own subnets, whose routes are the pods' bridge's. */
export function shadowsOf(
  { foreign, bitsTo }: Pick<RouteKeeper, 'foreign' | 'bitsTo'>,
  reached: readonly Reached[],
  own: readonly Prefix[],
): Shadow[] {
  const suspects = foreign.flatMap((route) => {
    const prefix = prefixOf(route);
    if (!prefix || own.some((subnet) => holdsPrefix(subnet, prefix))) return [];
    return hasOwnName({ ifname: route.dev ?? '' }) ? [] : [{ route, prefix }];
  });
  if (suspects.length === 0) return [];
  return reached.flatMap(({ key, subnet }) => {
    const found = suspects.filter(
      ({ prefix }) => holdsPrefix(prefix, subnet) || holdsPrefix(subnet, prefix),
    );
    const ourBits = found.length > 0 ? bitsTo(subnet) : undefined;
    const shadow = found.find(({ prefix }) => ourBits !== undefined && prefix.bits > ourBits);
    return shadow ? [{ key, subnet, route: shadow.route }] : [];
  });
}

/** In one line, with what to do where that is safe to say. */
export function describeShadow(
  { key, subnet, route }: Shadow,
  links: readonly AddressedLink[],
): string {
  const { dst, dev, gateway } = route;
  const way = [gateway && `via ${gateway}`, dev && `dev ${dev}`].filter(Boolean).join(' ');
  const link = links.find(({ ifname }) => ifname === dev);
  const addresses = link?.addr_info.map(({ local, prefixlen }) => `${local}/${prefixlen}`) ?? [];
  const has = addresses.length > 0 ? `, which has ${addresses.join(' and ')}` : '';
  const isBridge = link?.linkinfo?.info_kind === 'bridge';
  const isEmpty = isBridge && !links.some(({ master }) => master === dev);
  const advice = isEmpty ? `; the bridge has no ports: ip link delete ${dev}` : '';
  return `packets to ${formatPrefix(subnet)} (node ${key}) follow the route ${dst} ${way}${has}${advice}`;
}
