/** Whether the kernel forwards between pods and the overlay's devices. */
import { readFileSync } from 'node:fs';

const ROOT = '/proc/sys/net';
const HOST_SWITCH: Readonly<Record<4 | 6, string>> = {
  4: 'ipv4/ip_forward',
  6: 'ipv6/conf/all/forwarding',
};

/**
 * The settings that keep it from doing so, as `sysctl` takes them; '' if none. `devices`: of the overlay. IPv4 asks the device that a
 * packet came in by, IPv6 the host. A setting that can't be read proves nothing.
 */
export function forwardingProblem(
  families: readonly (4 | 6)[],
  devices: readonly { device: string; family: 4 | 6 }[],
  root = ROOT,
): string {
  const hosts = families.map((family) => HOST_SWITCH[family]);
  const own = devices.flatMap(({ device, family }) =>
    family === 4 ? `ipv4/conf/${device}/forwarding` : [],
  );
  const isOff = (setting: string): boolean => read(`${root}/${setting}`) === '0';
  // The host's switch sets that of every device.
  const off = isOff(HOST_SWITCH[4]) ? hosts.filter(isOff) : [...hosts, ...own].filter(isOff);
  return off.map((setting) => `net/${setting}=0`).join(', ');
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return undefined;
  }
}
