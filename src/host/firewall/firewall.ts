/** Masquerade and forward rules, in the two flavours that flannel has (flannel pkg/trafficmngr). */
import { type Exec, exec } from '../exec.ts';
import { IptablesFirewall, removeIptables } from './iptables.ts';
import { NftablesFirewall, removeNftables } from './nftables.ts';
import type { Firewall, FirewallWishes } from './wishes.ts';

export type Flavour = 'iptables' | 'nftables';

export function createFirewall(
  flavour: Flavour,
  wishes: FirewallWishes,
  run: Exec = exec,
): Firewall {
  return flavour === 'iptables'
    ? new IptablesFirewall(wishes, run)
    : new NftablesFirewall(wishes, run);
}

/** Removes the rules of one flavour, whichever daemon wrote them. A missing tool is no error. Returns what was removed. */
export async function removeRules(flavour: Flavour, run: Exec = exec): Promise<string[]> {
  return flavour === 'iptables' ? removeIptables(run) : removeNftables(run);
}
