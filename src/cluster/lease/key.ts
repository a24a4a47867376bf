/** Lease keys: "10.5.52.0-24", dual stack "10.5.52.0-24&fd00::-64" (flannel pkg/subnet MakeSubnetKey). */
import {
  familyOf,
  formatAddress,
  maskWords,
  type Prefix,
  parseAddress,
  prefixLength,
} from '../../shared/address.ts';
import type { LeaseSubnets } from './lease.ts';

/** IPv6-only clusters have 0.0.0.0-0 in the IPv4 place, as flannel writes it. */
export function formatKey(subnets: LeaseSubnets): string {
  const part = (prefix: Prefix): string => `${formatAddress(prefix.words)}-${prefixLength(prefix)}`;
  const first = subnets.subnet4 ? part(subnets.subnet4) : '0.0.0.0-0';
  return subnets.subnet6 ? `${first}&${part(subnets.subnet6)}` : first;
}

/** undefined for anything that is not exactly a key. Host bits are masked off. */
export function parseKey(key: string): LeaseSubnets | undefined {
  const match = /^([\d.]+)-(\d{1,2})(?:&([0-9a-fA-F:.]+)-(\d{1,3}))?$/.exec(key);
  if (!match) return undefined;
  const [, text4, length4, text6, length6] = match;
  const subnet4 = toPrefix(4, text4 as string, Number(length4));
  if (!subnet4) return undefined;
  const subnets: LeaseSubnets = prefixLength(subnet4) === 0 ? {} : { subnet4 };
  if (text6 !== undefined) {
    const subnet6 = toPrefix(6, text6, Number(length6));
    if (!subnet6) return undefined;
    subnets.subnet6 = subnet6;
  }
  return subnets.subnet4 || subnets.subnet6 ? subnets : undefined;
}

function toPrefix(family: 4 | 6, text: string, length: number): Prefix | undefined {
  const words = parseAddress(text);
  if (!words || familyOf(words) !== family || length > (family === 4 ? 31 : 127)) return undefined;
  const bits = family === 4 ? 96 + length : length;
  return { words: length === 0 ? words : maskWords(words, bits), bits };
}
