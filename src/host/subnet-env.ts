/** subnet.env, to the byte as flanneld writes it; CNI plugins and Docker read it. */
import { readFile } from 'node:fs/promises';
import { addToAddress } from '../cluster/lease/arithmetic.ts';
import type { LeaseSubnets } from '../cluster/lease/lease.ts';
import type { NetworkConfig } from '../cluster/network-config.ts';
import {
  familyOf,
  formatAddress,
  formatPrefix,
  type Prefix,
  parsePrefix,
  prefixLength,
} from '../shared/address.ts';

/** `masquerade`: weftd masquerades itself, so plugins must not. */
export function formatSubnetEnv(
  config: NetworkConfig,
  subnets: LeaseSubnets,
  mtu: number,
  masquerade: boolean,
): string {
  const lines: string[] = [];
  const gateway = (subnet: Prefix): string =>
    `${formatAddress(addToAddress(subnet.words, 128, 1))}/${prefixLength(subnet)}`;
  if (config.ipv4 && subnets.subnet4) {
    lines.push(`FLANNEL_NETWORK=${formatPrefix(config.ipv4.network)}`);
    lines.push(`FLANNEL_SUBNET=${gateway(subnets.subnet4)}`);
  }
  if (config.ipv6 && subnets.subnet6) {
    lines.push(`FLANNEL_IPV6_NETWORK=${formatPrefix(config.ipv6.network)}`);
    lines.push(`FLANNEL_IPV6_SUBNET=${gateway(subnets.subnet6)}`);
  }
  lines.push(`FLANNEL_MTU=${mtu}`, `FLANNEL_IPMASQ=${masquerade}`);
  return `${lines.join('\n')}\n`;
}

/** What a previous run wrote. */
export interface PreviousRun {
  /** undefined if the file is missing or holds none */
  subnets: LeaseSubnets | undefined;
  /** networks and subnets: what its firewall rules are about */
  prefixes: Prefix[];
}

export async function readSubnetEnv(file: string): Promise<PreviousRun> {
  const text = await readFile(file, 'utf8').catch(() => '');
  const subnet4 = onlyPrefix(text, 'FLANNEL_SUBNET', 4);
  const subnet6 = onlyPrefix(text, 'FLANNEL_IPV6_SUBNET', 6);
  const network4 = onlyPrefix(text, 'FLANNEL_NETWORK', 4);
  const network6 = onlyPrefix(text, 'FLANNEL_IPV6_NETWORK', 6);
  const subnets: LeaseSubnets = {};
  if (subnet4) subnets.subnet4 = subnet4;
  if (subnet6) subnets.subnet6 = subnet6;
  const prefixes = [network4, subnet4, network6, subnet6].flatMap((prefix) => prefix ?? []);
  return { subnets: subnet4 || subnet6 ? subnets : undefined, prefixes };
}

/** dotenv rules: export, quotes and comments allowed; of a comma list exactly one member must be valid. */
function onlyPrefix(text: string, name: string, family: 4 | 6): Prefix | undefined {
  const line = new RegExp(`^\\s*(?:export\\s+)?${name}\\s*=\\s*["']?([^"'#\\n]*)`, 'm').exec(text);
  const valid = (line?.[1] ?? '')
    .split(',')
    .flatMap((part) => parsePrefix(part.trim()) ?? [])
    .filter((prefix) => familyOf(prefix.words) === family);
  return valid.length === 1 ? valid[0] : undefined;
}
