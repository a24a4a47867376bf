/** Addresses of this host that disturb the overlay: what it has of other nodes' subnets, and what others gave to its devices. */
import {
  type Prefix,
  parseAddress,
  prefixContains,
  sameWords,
  type Words,
} from '../shared/address.ts';
import type { AddressedLink } from './ip-json.ts';

/** An address of this host on one of its devices. */
export interface LocalAddress {
  device: string;
  /** with its length, as `ip` writes it */
  text: string;
  words: Words;
}

export function addressesOn(links: readonly AddressedLink[]): LocalAddress[] {
  return links.flatMap(({ ifname, addr_info }) =>
    addr_info.flatMap(({ local, prefixlen }) => {
      const words = parseAddress(local);
      return words ? [{ device: ifname, text: `${local}/${prefixlen}`, words }] : [];
    }),
  );
}

/** Those in a subnet of another node: the host answers in that node's place. */
export function takenFrom<T extends { subnet: Prefix }>(
  peers: readonly T[],
  local: readonly LocalAddress[],
): { peer: T; address: LocalAddress }[] {
  return local.flatMap((address) => {
    const peer = peers.find(({ subnet }) => prefixContains(subnet, address.words));
    return peer ? [{ peer, address }] : [];
  });
}

/** Those on a device of ours that weftd did not give it. The kernel's own link-local ones of IPv6 do no harm. */
export function foreignOn(
  devices: readonly string[],
  own: readonly Words[],
  local: readonly LocalAddress[],
): LocalAddress[] {
  return local.filter(
    ({ device, words, text }) =>
      devices.includes(device) &&
      !text.startsWith('fe80:') &&
      !own.some((address) => sameWords(address, words)),
  );
}
