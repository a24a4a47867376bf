/** The overlay's TUN device: address, MTU, up, sysctls. Its route is the route keeper's. */
import { readFile, writeFile } from 'node:fs/promises';
import { formatAddress, type Words } from '../../shared/address.ts';
import { messageOf } from '../../shared/errors.ts';
import { type Exec, exec, ipJson } from './exec.ts';

export interface DeviceSetup {
  name: string;
  family: 4 | 6;
  address: Words;
  mtu: number;
}

interface LinkJson {
  mtu: number;
  txqlen?: number;
  flags: string[];
  addr_info: { family: string; local?: string; prefixlen: number; scope?: string }[];
}

/** Packets that a queue holds. The kernel's own for TUN is 500. */
const QUEUE_PACKETS = 1_000;
/** While the daemon is restarted and nobody reads. */
const HANDOVER_PACKETS = 10_000;

/**
 * Configures the device, also one of an earlier run with another address. Returns warnings for what a restricted host refused and
 * forwarding does not need. A wide queue stays wide, because packets wait in it: see {@link narrowQueue}.
 */
export async function configureDevice(setup: DeviceSetup, run: Exec = exec): Promise<string[]> {
  const { name, family } = setup;
  await run('ip', ['link', 'set', 'dev', name, 'addrgenmode', 'none']).catch(() => undefined); // no IPv6 in this kernel
  const warnings = await setSysctls(setup);
  const [link] = await ipJson<LinkJson>(['addr', 'show', 'dev', name], run);
  const own = formatAddress(setup.address);
  const inet = family === 4 ? 'inet' : 'inet6';
  const stale = (link?.addr_info ?? []).filter(
    (a) => a.family === inet && a.scope === 'global' && a.local !== own,
  );
  const queue = (link?.txqlen ?? 0) < QUEUE_PACKETS ? ` txqueuelen ${QUEUE_PACKETS}` : '';
  const commands = [
    `link set dev ${name} mtu ${setup.mtu}${queue}`,
    ...stale.map(({ local, prefixlen }) => `addr del ${local}/${prefixlen} dev ${name}`),
    `addr replace ${own}/${family === 4 ? 32 : 128} dev ${name}`,
    `link set dev ${name} up`,
  ];
  await run('ip', [`-${family}`, '-batch', '-'], `${commands.join('\n')}\n`);
  return warnings;
}

async function setSysctls({ name, family }: DeviceSetup): Promise<string[]> {
  const [file, value, purpose] =
    family === 4
      ? [
          `ipv4/conf/${name}/accept_local`,
          '1',
          'ICMP errors of the overlay will not reach senders; allow it, or set net.ipv4.conf.default.accept_local=1',
        ]
      : [`ipv6/conf/${name}/accept_ra`, '0', 'router advertisements are not expected here'];
  const path = `/proc/sys/net/${file}`;
  const present = await readFile(path, 'utf8').catch(() => '');
  if (present.trim() === value) return [];
  try {
    await writeFile(path, value);
    return [];
  } catch (error) {
    return [`${file}=${value} not set (${messageOf(error)}): ${purpose}`];
  }
}

/** Makes room for the packets that come until the next process reads. */
export async function widenQueue(name: string, run: Exec = exec): Promise<void> {
  await run('ip', ['link', 'set', 'dev', name, 'txqueuelen', `${HANDOVER_PACKETS}`]);
}

/** Back to normal. What does not fit any more is lost, so not before workers have read what waited. */
export async function narrowQueue(name: string, run: Exec = exec): Promise<void> {
  await run('ip', ['link', 'set', 'dev', name, 'txqueuelen', `${QUEUE_PACKETS}`]);
}

/** missing: the device is gone · changed: somebody took it down, changed its MTU or removed its address */
export type DeviceState = 'right' | 'changed' | 'missing';

export async function lookAtDevice(setup: DeviceSetup, run: Exec = exec): Promise<DeviceState> {
  const links = await ipJson<LinkJson>(['addr', 'show', 'dev', setup.name], run).catch((error) => {
    if (/does not exist|Cannot find device/.test(String(error))) return [];
    throw error;
  });
  const link = links[0];
  if (!link) return 'missing';
  const own = formatAddress(setup.address);
  const hasAddress = link.addr_info.some(({ local }) => local === own);
  return hasAddress && link.mtu === setup.mtu && link.flags.includes('UP') ? 'right' : 'changed';
}
