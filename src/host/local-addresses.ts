/** The addresses that this host has now, on whatever device. */
import { parseAddress, type Words } from '../shared/address.ts';
import type { AddressedLink } from './ip-json.ts';

/** Without those that no packet from another link may have as its source anyway (fe80::/10): they come and go with every pod. */
export function localAddresses(links: readonly AddressedLink[]): Words[] {
  return links
    .flatMap(({ addr_info }) => addr_info)
    .map(({ local }) => parseAddress(local))
    .filter((address) => address !== undefined)
    .filter(([first]) => first >>> 22 !== 0xfe80 >>> 6);
}
