/** Through which device packets to an address leave, and what that device can do. */
import { getSystemErrorName } from 'node:util';
import type { Addon } from '../memory/addon.ts';
import { formatAddress, type Words } from '../shared/address.ts';
import { inSlices } from '../shared/slices.ts';
import { type Exec, exec } from './exec.ts';
import { type IpRoute, ipJson, LINK, type Link, parseIpJson, ROUTE } from './ip-json.ts';

/** As the kernel calls them (net/ethtool/common.c). */
const TUNNEL_OFFLOAD = ['tx-udp_tnl-segmentation', 'tx-udp_tnl-csum-segmentation'];

/** How packets to an address leave. */
export interface Egress {
  device: string;
  /** on the same link: no gateway in between */
  isDirect: boolean;
  /** of the route, where it has one; bytes */
  mtu?: number;
}

/** Whom packets go to, and the address of this host that they carry: rules of policy routing may look at it. */
export interface Way {
  to: Words;
  from?: Words | undefined;
}

/** By destination (as text); those without a route, and our own, are missing. One process, however many there are. */
export async function egressOf(
  ways: readonly Way[],
  run: Exec = exec,
): Promise<Map<string, Egress>> {
  const found = new Map<string, Egress>();
  if (ways.length === 0) return found;
  const commands: string[] = [];
  await inSlices(ways, ({ to, from }) => {
    const source = from ? ` from ${formatAddress(from)}` : '';
    commands.push(`route get ${formatAddress(to)}${source}\n`);
  });
  // With -force an unreachable address does not end the batch; ip then exits with an error and all answers.
  const args = ['-j', '-force', '-batch', '-'];
  const text = await run('ip', args, commands.join('')).catch(answersOf);
  await inSlices(text.split('\n'), (line) => {
    const route = parseRoute(line);
    if (route?.dev === undefined || route.type === 'local') return;
    const mtu = route.metrics?.find((metric) => metric.mtu !== undefined)?.mtu;
    const isDirect = route.gateway === undefined;
    found.set(route.dst, { device: route.dev, isDirect, ...(mtu !== undefined && { mtu }) });
  });
  return found;
}

/** What a command printed before it ended with an error. */
function answersOf(error: Error): string {
  return (error.cause as { stdout?: string } | undefined)?.stdout ?? '';
}

function parseRoute(line: string): IpRoute | undefined {
  if (!line.startsWith('[')) return undefined;
  try {
    return parseIpJson(ROUTE, line, 'ip route get')[0];
  } catch {
    return undefined;
  }
}

/** Whether the device segments encapsulated packets and fills their checksums itself. Throws when there is none of this name. */
export function hasTunnelOffload(addon: Pick<Addon, 'hasFeature'>, device: string): boolean {
  return TUNNEL_OFFLOAD.every((feature) => {
    const found = addon.hasFeature(device, feature);
    if (found < 0) throw new Error(`${device}: no features (${getSystemErrorName(found)})`);
    return found === 1;
  });
}

/** `flags` of ip: -d for linkinfo, -s for statistics. Throws when there is none of this name. */
export async function linkOf(
  device: string,
  run: Exec = exec,
  flags: readonly string[] = [],
): Promise<Link> {
  const [link] = await ipJson(LINK, [...flags, 'link', 'show', 'dev', device], run);
  if (!link) throw new Error(`no device ${device}`);
  return link;
}

/** What a device sends: number for the kernel, largest IP packet, and whether its frames are Ethernet's. */
export interface DeviceFrames {
  index: number;
  mtu: number;
  isEthernet: boolean;
}

/** Throws when there is none of this name. */
export async function framesOf(device: string, run: Exec = exec): Promise<DeviceFrames> {
  const link = await linkOf(device, run);
  return { index: link.ifindex, mtu: link.mtu, isEthernet: link.link_type === 'ether' };
}

const ABOVE_ONE = new Set(['vlan', 'macvlan', 'macvtap', 'ipvlan', 'ipvtap']);
const ABOVE_SEVERAL = new Set(['bond', 'team', 'bridge']);
/** Of devices upon devices; the kernel takes 8. */
const LEVELS_MAX = 8;

/** Whether a device is hardware, or has some below it. Throws when there is none of this name. */
export async function hasCard(
  device: string,
  run: Exec = exec,
  levels = LEVELS_MAX,
): Promise<boolean> {
  const found = await linkOf(device, run, ['-d']);
  if (found.parentdev !== undefined) return true;
  if (levels === 0) return false;
  const kind = found.linkinfo?.info_kind ?? '';
  const below: string[] = [];
  if (ABOVE_ONE.has(kind) && found.link && found.link_netnsid === undefined) below.push(found.link);
  if (ABOVE_SEVERAL.has(kind))
    for (const part of await ipJson(LINK, ['link', 'show', 'master', device], run))
      below.push(part.ifname);
  for (const each of below) if (await hasCard(each, run, levels - 1)) return true;
  return false;
}

/** Kernel's number and MAC text of a device. Throws when there is none of this name. */
export async function deviceIdentity(
  device: string,
  run: Exec = exec,
): Promise<{ index: number; mac: string }> {
  const link = await linkOf(device, run);
  return { index: link.ifindex, mac: link.address ?? '' };
}
