/** The overlay's TUN device: address, MTU, up, sysctls. Its route is the route keeper's. */
import { readFile, writeFile } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { formatAddress, type Words } from '../shared/address.ts';
import { messageOf } from '../shared/errors.ts';
import { type SettingsAddon, setIpv4 } from './device-settings.ts';
import { type Exec, exec } from './exec.ts';
import { ADDRESSED_LINK, type AddressedLink, ipJson } from './ip-json.ts';

export interface DeviceSetup {
  name: string;
  family: 4 | 6;
  address: Words;
  mtu: number;
  /** length of each queue */
  queuePackets: number;
}

const ROOT = '/proc/sys/net';
const ACCEPT_LOCAL_ADVICE =
  'set net.ipv4.conf.default.accept_local=0 on the host, where devices have it from, and restart weftd';
const FORWARDING_ADVICE = 'set net.ipv6.conf.all.forwarding=1 on the host, which pods need anyway';
const QUEUE_PACKETS_MIN = 1_000;
const PACKET_BYTES_MAX = 65_536;

/** Who starts the next daemon, and so for how long nobody reads. */
export type Restart = 'at once' | 'a new pod';

/**
 * Seconds of a pod's traffic; at most this share of the memory may wait in the workers' queues, and as much in those for bulk flows, if all
 * of it were super-packets.
 */
const QUEUE: Readonly<Record<Restart, { packetsMax: number; share: number }>> = {
  'at once': { packetsMax: 8_000, share: 1 / 16 },
  // A kubelet takes 8 to 17 s from the end of one pod to the start of the next.
  'a new pod': { packetsMax: 24_000, share: 1 / 8 },
};

/**
 * Packets that each queue holds where there are so many of a kind, of bulk flows or of others, for the time in which a daemon is restarted.
 * As many from the first day: a kernel that changes a queue's length drops all that comes for up to half a second.
 */
export function queuePackets(queues: number, restart: Restart, memoryBytes = totalmem()): number {
  const { packetsMax, share } = QUEUE[restart];
  const affordable = Math.floor((memoryBytes * share) / PACKET_BYTES_MAX / queues);
  return Math.min(packetsMax, Math.max(QUEUE_PACKETS_MIN, affordable));
}

/**
 * Configures the device, also one of an earlier run with another address. What is right already is not touched: packets may be on
 * their way, and the kernel drops all that comes while it changes a queue. Returns warnings for what a restricted host refused and forwarding
 * does not need.
 */
export async function configureDevice(
  setup: DeviceSetup,
  addon: SettingsAddon,
  run: Exec = exec,
): Promise<string[]> {
  const { name, family } = setup;
  const problem = family === 4 ? await refuseOwnSources(name, addon) : await refuseRouters(name);
  const [link] = await ipJson(ADDRESSED_LINK, ['-d', 'addr', 'show', 'dev', name], run);
  const commands = link ? changesFor(setup, link) : [];
  if (commands.length > 0) await run('ip', ['-batch', '-'], `${commands.join('\n')}\n`);
  return problem === '' ? [] : [problem];
}

function changesFor(setup: DeviceSetup, link: AddressedLink): string[] {
  const { name, family, mtu, queuePackets: packets } = setup;
  const own = formatAddress(setup.address);
  const inet = family === 4 ? 'inet' : 'inet6';
  const present = link.addr_info.filter((a) => a.family === inet && a.scope === 'global');
  const stale = present.filter(({ local }) => local !== own);
  // A kernel without IPv6 shows no mode.
  const givesItself = (link.inet6_addr_gen_mode ?? 'none') !== 'none';
  return [
    ...(givesItself ? [`link set dev ${name} addrgenmode none`] : []),
    ...(link.mtu === mtu ? [] : [`link set dev ${name} mtu ${mtu}`]),
    ...(link.txqlen === packets ? [] : [`link set dev ${name} txqueuelen ${packets}`]),
    ...stale.map(({ local, prefixlen }) => `addr del ${local}/${prefixlen} dev ${name}`),
    ...(present.length > stale.length
      ? []
      : [`addr add ${own}/${family === 4 ? 32 : 128} dev ${name}`]),
    ...(link.flags.includes('UP') ? [] : [`link set dev ${name} up`]),
  ];
}

/** What comes in must not claim to be from this host. '' or what is wrong. */
async function refuseOwnSources(device: string, addon: SettingsAddon): Promise<string> {
  if ((await read(`ipv4/conf/${device}/accept_local`)) === '0') return '';
  try {
    setIpv4(addon, device, 'accept_local', 0);
    return '';
  } catch (error) {
    const risk = 'the kernel takes packets from the overlay that claim to come from this host';
    return `${messageOf(error)}: ${risk}, only weftd drops them; ${ACCEPT_LOCAL_ADVICE}`;
  }
}

/**
 * Router advertisements are not expected here. A device that forwards heeds none, and in a container, where the setting can't be written,
 * the host's switch for all devices is what makes it forward. '' or what is wrong.
 */
async function refuseRouters(device: string): Promise<string> {
  const conf = `ipv6/conf/${device}`;
  const [accepts, forwards] = [await read(`${conf}/accept_ra`), await read(`${conf}/forwarding`)];
  if (accepts === '0' || (accepts === '1' && forwards === '1')) return '';
  try {
    await writeFile(`${ROOT}/${conf}/accept_ra`, '0');
    return '';
  } catch (error) {
    const setting = `net.${conf.replaceAll('/', '.')}.accept_ra=0`;
    return `${setting} not set (${messageOf(error)}); ${FORWARDING_ADVICE}`;
  }
}

function read(file: string): Promise<string> {
  return readFile(`${ROOT}/${file}`, 'utf8').then(
    (text) => text.trim(),
    () => '',
  );
}

/** Gives a device that somebody renamed its name back. It is down then, and {@link configureDevice} sets it up. */
export async function renameDevice(from: string, to: string, run: Exec = exec): Promise<void> {
  await run('ip', ['link', 'set', 'dev', from, 'down']);
  await run('ip', ['link', 'set', 'dev', from, 'name', to]);
}

/** missing: the device is gone · changed: somebody took it down, changed its MTU or removed its address */
export type DeviceState = 'right' | 'changed' | 'missing';

export async function lookAtDevice(setup: DeviceSetup, run: Exec = exec): Promise<DeviceState> {
  const links = await ipJson(ADDRESSED_LINK, ['addr', 'show', 'dev', setup.name], run).catch(
    (error) => {
      if (/does not exist|Cannot find device/.test(String(error))) return [];
      throw error;
    },
  );
  const link = links[0];
  if (!link) return 'missing';
  const own = formatAddress(setup.address);
  const hasAddress = link.addr_info.some(({ local }) => local === own);
  return hasAddress && link.mtu === setup.mtu && link.flags.includes('UP') ? 'right' : 'changed';
}
