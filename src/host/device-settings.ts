/**
 * IPv4 settings of one device, as they stand in /proc/sys/net/ipv4/conf. They are set through netlink: /proc/sys is read-only in a
 * container that is not privileged (docs/adr/0015-settings-by-netlink.md).
 */
import { getSystemErrorName } from 'node:util';
import type { Addon } from '../memory/addon.ts';

/** IPV4_DEVCONF_* of linux/ip.h. */
const NUMBERS = { forwarding: 1, rp_filter: 8, accept_local: 23 } as const;

export type DeviceSetting = keyof typeof NUMBERS;
export type SettingsAddon = Pick<Addon, 'setInet'>;

/** Throws Error, with the setting and the kernel's reason. */
export function setIpv4(
  addon: SettingsAddon,
  device: string,
  setting: DeviceSetting,
  value: number,
): void {
  const result = addon.setInet(device, NUMBERS[setting], value);
  if (result < 0)
    throw new Error(
      `net.ipv4.conf.${device}.${setting}=${value} not set (${getSystemErrorName(result)})`,
    );
}
