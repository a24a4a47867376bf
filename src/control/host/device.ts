/** The overlay's TUN device: address, MTU, up, sysctls. Its route is the route keeper's. */
import { writeFile } from 'node:fs/promises';
import { formatAddress, type Words } from '../../shared/address.ts';
import { type Exec, exec, ipJson } from './exec.ts';

export interface DeviceSetup {
  name: string;
  family: 4 | 6;
  address: Words;
  mtu: number;
}

/** Configures the device. Returns warnings for what a restricted host refused and forwarding does not need. */
export async function configureDevice(setup: DeviceSetup, run: Exec = exec): Promise<string[]> {
  const { name, family } = setup;
  const warnings: string[] = [];
  const sysctl = async (file: string, value: string, purpose: string): Promise<void> => {
    await writeFile(`/proc/sys/net/${file}`, value).catch((error: Error) => {
      warnings.push(`${file}=${value} not set (${error.message}): ${purpose}`);
    });
  };
  await run('ip', ['link', 'set', 'dev', name, 'mtu', `${setup.mtu}`, 'txqueuelen', '1000']);
  await run('ip', ['link', 'set', 'dev', name, 'addrgenmode', 'none']).catch(() => undefined); // no IPv6 in this kernel
  if (family === 4) {
    await sysctl(
      `ipv4/conf/${name}/accept_local`,
      '1',
      'ICMP errors of the overlay will not reach senders',
    );
  } else {
    await sysctl(`ipv6/conf/${name}/accept_ra`, '0', 'router advertisements are not expected here');
  }
  await run('ip', [`-${family}`, 'addr', 'replace', hostAddress(setup), 'dev', name]);
  await run('ip', ['link', 'set', 'dev', name, 'up']);
  return warnings;
}

function hostAddress({ family, address }: DeviceSetup): string {
  return `${formatAddress(address)}/${family === 4 ? 32 : 128}`;
}

interface LinkJson {
  mtu: number;
  flags: string[];
  addr_info: { local?: string }[];
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
