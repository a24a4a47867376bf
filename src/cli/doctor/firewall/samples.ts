/** The sample packets of this node: one of each kind that the overlay needs, in both families. */
import {
  type Prefix,
  parseAddress,
  prefixContains,
  sameWords,
  type Words,
} from '../../../shared/address.ts';
import { type Overlay, overlayOf } from '../overlay.ts';
import type { Site } from '../site.ts';
import { FRESH, type Packet, stopsOf } from './packet.ts';

/** Nobody's well-known port. */
const POD_PORT = 49_876;
/** Where no pod has been started yet. */
const BRIDGE_TO_COME = 'cni0';

/** Between pods here and pods elsewhere. */
export async function podSamples(site: Site): Promise<Packet[]> {
  const config = await site.config();
  const found = await Promise.all(
    ([4, 6] as const).map(async (family) => {
      const network = config?.[`ipv${family}`]?.network;
      return network ? podSamplesOf(site, family, network) : [];
    }),
  );
  return found.flat();
}

async function podSamplesOf(site: Site, family: 4 | 6, network: Prefix): Promise<Packet[]> {
  const { own, other } = await subnetsOf(site, family);
  const external = await site.external();
  const device = (await overlayOf(site)).devices.get(family);
  const overlay = device ?? ('error' in external ? '' : external.name);
  const pods = await podDeviceOf(site, own);
  const here = hostOf(own ?? network, 2);
  const there = hostOf(other ?? network, other ? 2 : 0x102);
  const inBridge = await isBridge(site, pods);
  const outBridge = await isBridge(site, overlay);
  const both = { ...FRESH, family, isFromLocal: false, isToLocal: false, port: POD_PORT };
  return (['tcp', 'udp'] as const).flatMap((protocol) => [
    {
      ...both,
      what: `${protocol.toUpperCase()} from a pod into the overlay`,
      protocol,
      from: here,
      to: there,
      inDevice: pods,
      outDevice: overlay,
      stops: stopsOf('forward', inBridge, outBridge),
    },
    {
      ...both,
      what: `${protocol.toUpperCase()} from the overlay to a pod`,
      protocol,
      from: there,
      to: here,
      inDevice: overlay,
      outDevice: pods,
      stops: stopsOf('forward', outBridge, inBridge),
    },
  ]);
}

/** Between this node and another one, at the UDP port of the overlay. */
export async function tunnelSamples(site: Site, { port, devices }: Overlay): Promise<Packet[]> {
  const external = await site.external();
  if (port === undefined || 'error' in external) return [];
  const bridge = await isBridge(site, external.name);
  const leases = await site.leases();
  return [...devices.keys()].flatMap((family) => {
    const own = external[`address${family}`];
    if (!own) return [];
    const addresses = leases.map(({ attributes }) => attributes[`publicIp${family}`]);
    const peer = addresses.find((each) => each && !sameWords(each, own)) ?? neighbourOf(own);
    const udp = { ...FRESH, family, protocol: 'udp', port } as const;
    return [
      {
        ...udp,
        what: `what a peer sends to UDP ${port}`,
        from: peer,
        to: own,
        isFromLocal: false,
        isToLocal: true,
        inDevice: external.name,
        outDevice: '',
        stops: stopsOf('input', bridge, false),
      },
      {
        ...udp,
        what: `what weft sends to UDP ${port} of a peer`,
        from: own,
        to: peer,
        isFromLocal: true,
        isToLocal: false,
        inDevice: '',
        outDevice: external.name,
        stops: stopsOf('output', false, bridge),
      },
    ];
  });
}

/** Another node's connection to the reach port, at the node's own address in the overlay. */
export async function reachSamples(site: Site, port: number): Promise<Packet[]> {
  const { devices } = await overlayOf(site);
  const found: Packet[] = [];
  for (const [family, inDevice] of devices) {
    const { own, other } = await subnetsOf(site, family);
    if (!own) continue;
    const from = other?.words ?? neighbourOf(own.words);
    found.push({
      ...FRESH,
      what: `TCP to port ${port}, where peers ask for weft ping --all`,
      family,
      protocol: 'tcp',
      port,
      from,
      to: own.words,
      isFromLocal: false,
      isToLocal: true,
      inDevice,
      outDevice: '',
      stops: stopsOf('input', false, false),
    });
  }
  return found;
}

async function subnetsOf(
  site: Site,
  family: 4 | 6,
): Promise<{ own: Prefix | undefined; other: Prefix | undefined }> {
  const lease = await site.ownLease();
  const others = (await site.leases()).filter(({ key }) => key !== lease?.key);
  const other = others.flatMap((each) => each[`subnet${family}`] ?? [])[0];
  return { own: lease?.[`subnet${family}`], other };
}

/** The device that has an address of the subnet; a bridge before others, which are single pods'. */
async function podDeviceOf(site: Site, own: Prefix | undefined): Promise<string> {
  const overlay = [...(await overlayOf(site)).devices.values()];
  const isOurs = (text: string): boolean => {
    const words = parseAddress(text);
    return own !== undefined && words !== undefined && prefixContains(own, words);
  };
  const found = (await site.links())
    .filter(({ ifname, addr_info }) => {
      return !overlay.includes(ifname) && addr_info.some(({ local }) => isOurs(local));
    })
    .map(({ ifname, linkinfo }) => ({ ifname, isBridge: linkinfo?.info_kind === 'bridge' }));
  const device = found.find(({ isBridge }) => isBridge) ?? found[0];
  return device?.ifname ?? BRIDGE_TO_COME;
}

async function isBridge(site: Site, name: string): Promise<boolean> {
  const link = (await site.links()).find(({ ifname }) => ifname === name);
  return link?.linkinfo?.info_kind === 'bridge';
}

/** The n-th address of a prefix, for small n. */
function hostOf({ words }: Prefix, n: number): Words {
  const [a, b, c, d] = words;
  return [a, b, c, (d + n) | 0];
}

function neighbourOf([a, b, c, d]: Words): Words {
  return [a, b, c, d ^ 1];
}
