/** Checks of the underlay: the interface, its addresses, who else uses the overlay's numbers. */
import { egressOf } from '../../host/egress.ts';
import type { IpRoute } from '../../host/ip-json.ts';
import { readSubnetEnv } from '../../host/subnet-env.ts';
import {
  familyOf,
  formatAddress,
  holdsPrefix,
  type Prefix,
  parseAddress,
  parsePrefix,
  prefixContains,
} from '../../shared/address.ts';
import { type Check, type Finding, fail, ok, skipped, someOf, warn } from './check.ts';
import { overlayOf } from './overlay.ts';
import { NOT_ROOT } from './rights.ts';
import type { Site } from './site.ts';

const PEERS_MAX = 64;
/** What every machine of the usual virtual machine managers has behind its NAT. */
const NAT_ADDRESSES = ['10.0.2.15', '192.168.64.2'];
/** weft's own routes carry this protocol number. */
const OWN_PROTOCOL = '86';

export interface PeerEgress {
  address: string;
  /** undefined: no route */
  device: string | undefined;
}

export function judgeInterface(
  name: string,
  reason: string,
  peers: readonly PeerEgress[],
): Finding {
  const lost = peers.filter(({ device }) => device === undefined);
  if (lost.length > 0)
    return fail(
      `no route to ${someOf(lost.map(({ address }) => address))}`,
      `ip route get ${lost[0]?.address}; add the route, or choose the right --iface`,
    );
  const others = peers.filter(({ device }) => device !== name);
  const [first] = others;
  if (!first) return ok(`${name}: ${reason}; ${peers.length} peers are reached through it`);
  const list = someOf(others.map(({ address, device }) => `${address} through ${device}`));
  return fail(
    `weftd takes ${name} (${reason}), but reaches ${list}`,
    `--iface=${first.device} (FLANNELD_IFACE=${first.device}), then restart weftd`,
  );
}

export function judgeNat(address: string): Finding {
  if (!NAT_ADDRESSES.includes(address)) return ok(address);
  return warn(
    `${address} is what every such virtual machine has behind its NAT: peers can't send there`,
    "--iface=<the machines' common interface>, for example eth1",
  );
}

/** Routes of the host that lie in the overlay's network, or around it, and are not the overlay's own. */
export function judgeNetworkOverlap(network: Prefix, foreign: readonly ForeignRoute[]): Finding {
  const clashes = foreign.filter(
    ({ prefix }) => holdsPrefix(network, prefix) || holdsPrefix(prefix, network),
  );
  if (clashes.length === 0) return ok('the host has no other route there');
  return fail(
    `Network overlaps with routes of this host: ${someOf(clashes.map(({ text }) => text))}`,
    'choose another Network in the network config, or remove the route: ip route delete',
  );
}

/** Where Network holds the nodes themselves, only routes that are as special as a peer's subnet are in the way. */
export function judgeSubnetOverlap(
  subnets: readonly Prefix[],
  foreign: readonly ForeignRoute[],
): Finding {
  const clashes = foreign.filter(({ prefix }) =>
    subnets.some((subnet) => holdsPrefix(subnet, prefix)),
  );
  if (clashes.length === 0)
    return ok('it holds the nodes themselves; the host has no other route to a leased subnet');
  return fail(
    `routes of this host take packets to leased subnets: ${someOf(clashes.map(({ text }) => text))}`,
    'remove the route or its device: ip route delete',
  );
}

export interface ForeignRoute {
  prefix: Prefix;
  /** for people */
  text: string;
}

/** Neither the overlay's nor those of this node's own pods. */
export function foreignRoutes(
  routes: readonly IpRoute[],
  own: Prefix | undefined,
  devices: readonly string[],
): ForeignRoute[] {
  return routes.flatMap(({ dst, dev, protocol }) => {
    if (dst === 'default' || protocol === OWN_PROTOCOL) return [];
    if (dev !== undefined && devices.includes(dev)) return [];
    const prefix = parsePrefix(dst.includes('/') ? dst : `${dst}/32`);
    if (!prefix || (own && holdsPrefix(own, prefix))) return [];
    return [{ prefix, text: `${dst} dev ${dev ?? 'none'}` }];
  });
}

export const UNDERLAY_CHECKS: readonly Check[] = [
  {
    id: 'interface-choice',
    group: 'underlay',
    severity: 'fail',
    title: 'interface',
    run: async (site) => {
      const external = await site.external();
      if ('error' in external && site.isGuess) return skipped(NOT_ROOT);
      if ('error' in external)
        return fail(external.error, 'set --iface to an interface that exists: ip -br addr');
      const addresses = (await site.peers()).slice(0, PEERS_MAX).map(({ publicIp }) => publicIp);
      const { address4, address6 } = external;
      const found = await egressOf(
        addresses.flatMap((text) => {
          const to = parseAddress(text);
          return to ? [{ to, from: familyOf(to) === 4 ? address4 : address6 }] : [];
        }),
      );
      const own = new Set((await site.links()).flatMap((l) => l.addr_info.map((a) => a.local)));
      const peers = addresses
        .filter((address) => !own.has(address))
        .map((address) => ({ address, device: found.get(address)?.device }));
      return judgeInterface(external.name, external.reason, peers);
    },
  },
  {
    id: 'nat-address',
    group: 'underlay',
    severity: 'warn',
    title: 'public address',
    run: async (site) => {
      const external = await site.external();
      if ('error' in external) return skipped('no interface');
      const address = external.public4 ?? external.public6;
      return address ? judgeNat(formatAddress(address)) : skipped('no address');
    },
  },
  {
    id: 'network-overlap',
    group: 'underlay',
    severity: 'fail',
    title: "the overlay's network",
    run: async (site) => {
      const network = (await site.config())?.ipv4?.network;
      if (!network) return skipped('no IPv4 network');
      const { devices } = await overlayOf(site);
      const lease = await site.ownLease();
      const own = lease?.subnet4 ?? (await previousSubnet(site));
      const foreign = foreignRoutes(await site.routes(), own, [...devices.values()]);
      const leases = await site.leases();
      const nodes = leases.flatMap(({ attributes: { publicIp4 } }) =>
        publicIp4 ? [publicIp4] : [],
      );
      if (!nodes.some((address) => prefixContains(network, address)))
        return judgeNetworkOverlap(network, foreign);
      const others = leases.filter(({ key }) => key !== lease?.key);
      return judgeSubnetOverlap(
        others.flatMap(({ subnet4 }) => subnet4 ?? []),
        foreign,
      );
    },
  },
];

/** Pods of the last run are still there when its lease is not. */
async function previousSubnet({ settings }: Site): Promise<Prefix | undefined> {
  return settings && (await readSubnetEnv(settings.subnetFile)).subnets?.subnet4;
}
