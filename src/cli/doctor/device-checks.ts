/** Checks of the overlay's devices: names, UDP port, MTU chain. */
import { readFile } from 'node:fs/promises';
import { kindOf } from '../../cluster/kinds/all.ts';
import type { AddressedLink, Link } from '../../host/ip-json.ts';
import { findPortHolder, isKernelVxlan } from '../../host/preflight.ts';
import { parseAddress, prefixContains } from '../../shared/address.ts';
import { type Check, type Finding, fail, ok, skipped, warn } from './check.ts';
import { readKernel } from './kernel-file.ts';
import { overlayOf } from './overlay.ts';
import { holdersOf, type PortHolder } from './port-holder.ts';
import type { Site } from './site.ts';

export interface MtuChain {
  underlay: { name: string; mtu: number };
  /** Backend.MTU; undefined = follows the interface */
  configMtu: number | undefined;
  devices: { name: string; mtu: number; overheadBytes: number }[];
  /** FLANNEL_MTU */
  fileMtu: number | undefined;
  /** bridges and pods' ends that have an address of this node's subnet */
  podDevices: { name: string; mtu: number }[];
}

export function judgeMtu(chain: MtuChain): Finding {
  const { underlay, configMtu, devices, fileMtu, podDevices } = chain;
  if (configMtu !== undefined && configMtu > underlay.mtu)
    return fail(
      `Backend.MTU is ${configMtu}, but ${underlay.name} carries ${underlay.mtu} bytes`,
      `set Backend.MTU to ${underlay.mtu} in the network config, or remove it; then restart weftd`,
    );
  const large = devices.find((device) => device.mtu + device.overheadBytes > underlay.mtu);
  if (large)
    return fail(
      `${large.name} has MTU ${large.mtu}, with ${large.overheadBytes} bytes of headers more than ${underlay.name} carries (${underlay.mtu})`,
      `ip link set ${large.name} mtu ${underlay.mtu - large.overheadBytes}`,
    );
  const least = Math.min(...devices.map(({ mtu }) => mtu));
  const pod = podDevices.find(({ mtu }) => mtu > least);
  if (pod)
    return fail(
      `${pod.name} has MTU ${pod.mtu}, the overlay carries ${least}`,
      `ip link set ${pod.name} mtu ${least}, and the same in the CNI config ("mtu": ${least})`,
    );
  if (fileMtu !== undefined && fileMtu > least)
    return fail(
      `FLANNEL_MTU is ${fileMtu}, the overlay carries ${least}`,
      'systemctl restart weftd',
    );
  const names = devices.map(({ name, mtu }) => `${name} ${mtu}`).join(', ');
  return ok(`${underlay.name} ${underlay.mtu}, ${names}, FLANNEL_MTU ${fileMtu ?? 'unknown'}`);
}

export function judgePort(
  port: number,
  kernel: string | undefined,
  holders: readonly PortHolder[],
  daemonPid: number | undefined,
): Finding {
  if (kernel) return fail(`UDP ${port}: ${kernel}`, kernel.replace(/.*with: /, ''));
  const others = holders.filter(({ pid }) => pid !== daemonPid);
  const [other] = others;
  if (!other) return ok(`UDP ${port} is ${holders.length > 0 ? "weftd's" : 'free'}`);
  if (other.pid === undefined)
    return fail(
      `UDP ${port} is taken by a process that can't be seen from here`,
      `ss -ulpn 'sport = :${port}'`,
    );
  return fail(
    `UDP ${port} is taken by ${other.name} (process ${other.pid})`,
    `stop it (kill ${other.pid}), or set another Backend.Port on all nodes`,
  );
}

export function judgeDevices(
  names: readonly string[],
  links: readonly AddressedLink[],
  isRunning: boolean,
  linkKind: string,
): Finding {
  const found = links.filter(({ ifname }) => names.includes(ifname));
  const foreign = found.find(({ linkinfo }) => linkinfo?.info_kind !== linkKind);
  if (foreign && (isRunning || !isKernelVxlan(foreign)))
    return fail(
      `${foreign.ifname} is a ${foreign.linkinfo?.info_kind ?? 'foreign'} device`,
      `ip link delete ${foreign.ifname}`,
    );
  if (foreign) return ok(`${foreign.ifname} is a stock flannel's: weftd will take its place`);
  // A weftd that ends keeps its device for the next one; it has a carrier only while a process has it open.
  const held = found.find(({ flags }) => flags.includes('LOWER_UP'));
  if (!isRunning && found[0] && !held) return ok(`${found[0].ifname} is left for the next start`);
  if (!isRunning && found[0])
    return warn(
      `${found[0].ifname} exists, but no weftd answers`,
      `stop the other weftd, or: ip link delete ${found[0].ifname}`,
    );
  const missing = isRunning && names.find((name) => !links.some((l) => l.ifname === name));
  if (missing) return fail(`${missing} is missing`, 'systemctl restart weftd');
  const down = found.find(({ flags }) => !flags.includes('UP'));
  if (down) return fail(`${down.ifname} is down`, `ip link set ${down.ifname} up`);
  return ok(isRunning ? `${names.join(', ')} is up` : `${names.join(', ')} can be made`);
}

export const DEVICE_CHECKS: readonly Check[] = [
  {
    id: 'device-conflict',
    group: 'overlay',
    severity: 'fail',
    title: 'device',
    needsRoot: true,
    run: async (site) => {
      const { devices, linkKind } = await overlayOf(site);
      if (linkKind === undefined) return skipped('no network config with a device');
      const isRunning = (await site.daemon()) !== undefined;
      return judgeDevices([...devices.values()], await site.links(), isRunning, linkKind);
    },
  },
  {
    id: 'port-taken',
    group: 'overlay',
    severity: 'fail',
    title: 'UDP port',
    needsRoot: true,
    run: async (site) => {
      const { port, devices } = await overlayOf(site);
      if (port === undefined) return skipped('no network config with a UDP port');
      const kernel = await findPortHolder(port, undefined, [...devices.values()]);
      const isStock = (await site.links()).some(
        (link) => isKernelVxlan(link) && [...devices.values()].includes(link.ifname),
      );
      const holders = isStock ? [] : await holdersOf(port);
      return judgePort(port, kernel, holders, (await site.daemon())?.pid);
    },
  },
  {
    id: 'mtu-chain',
    group: 'overlay',
    severity: 'fail',
    title: 'MTU chain',
    run: async (site) => {
      const chain = await chainOf(site);
      return chain ? judgeMtu(chain) : skipped('no interface, or no network config');
    },
  },
];

async function chainOf(site: Site): Promise<MtuChain | undefined> {
  const external = await site.external();
  const config = await site.config();
  const { devices, outerMtu } = await overlayOf(site);
  if ('error' in external || !config || devices.size === 0) return undefined;
  const kind = kindOf(config.backend);
  const links = await site.links();
  const rows = [...devices].map(([family, name]) => {
    const link = links.find(({ ifname }) => ifname === name);
    const overheadBytes = kind.overheadBytes(family);
    const planned = (outerMtu ?? external.mtu) - overheadBytes;
    return { name, mtu: link?.mtu ?? planned, overheadBytes };
  });
  const own = (await site.ownLease())?.subnet4;
  const isOurs = (text: string): boolean => {
    const words = parseAddress(text);
    return own !== undefined && words !== undefined && prefixContains(own, words);
  };
  const names = [...devices.values()];
  const podDevices = links
    .filter((link) => !names.includes(link.ifname) && !isEmptyBridge(link, links))
    .filter(({ addr_info }) => addr_info.some(({ local }) => isOurs(local)))
    .map(({ ifname, mtu }) => ({ name: ifname, mtu }));
  const mtu = Number((await readKernel(`/sys/class/net/${external.name}/mtu`)) ?? external.mtu);
  return {
    underlay: { name: external.name, mtu },
    configMtu: outerMtu,
    devices: rows,
    fileMtu: await fileMtuOf(site.settings?.subnetFile ?? ''),
    podDevices,
  };
}

/** Nobody sends through it, and it takes the MTU of its first port: Docker's is so before the first container. */
function isEmptyBridge({ ifname, linkinfo }: AddressedLink, links: readonly Link[]): boolean {
  return linkinfo?.info_kind === 'bridge' && !links.some(({ master }) => master === ifname);
}

async function fileMtuOf(file: string): Promise<number | undefined> {
  const text = await readFile(file, 'utf8').catch(() => '');
  const mtu = Number(/^FLANNEL_MTU=(\d+)$/m.exec(text)?.[1]);
  return mtu > 0 ? mtu : undefined;
}
