/** The overlay's TUN device: address, MTU, up, the one route that covers the whole overlay, sysctls. */
import { writeFile } from 'node:fs/promises';
import { formatAddress, formatPrefix, type Prefix, type Words } from '../../shared/address.ts';
import { type Exec, exec } from './exec.ts';

/** Route protocol number that marks our routes in `ip route`. */
export const ROUTE_PROTOCOL = '86';

export interface DeviceSetup {
  name: string;
  family: 4 | 6;
  address: Words;
  network: Prefix;
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
  const bits = family === 4 ? 32 : 128;
  await run('ip', [
    `-${family}`,
    'addr',
    'replace',
    `${formatAddress(setup.address)}/${bits}`,
    'dev',
    name,
  ]);
  await run('ip', ['link', 'set', 'dev', name, 'up']);
  const route = [formatPrefix(setup.network), 'dev', name, 'proto', ROUTE_PROTOCOL];
  const source = family === 4 ? ['src', formatAddress(setup.address)] : [];
  await run('ip', [`-${family}`, 'route', 'replace', ...route, ...source]);
  return warnings;
}
