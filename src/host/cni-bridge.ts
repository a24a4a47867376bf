/**
 * The bridge on which the CNI plugin `bridge` puts pods. It keeps the address of the subnet that it was made for: after the node got
 * another subnet, the plugin refuses every new pod until the bridge is gone.
 */
import type { LeaseSubnets } from '../cluster/lease/lease.ts';
import {
  familyOf,
  type Prefix,
  parsePrefix,
  prefixContains,
  prefixLength,
} from '../shared/address.ts';
import { type Exec, exec } from './exec.ts';
import { lookAtLinks } from './external-interface.ts';
import type { AddressedLink } from './ip-json.ts';

/** What flannel's plugin makes unless its configuration names another one. */
export const CNI_BRIDGE = 'cni0';

export interface CniBridge {
  name: string;
  /** subnets of its addresses, without link-local ones */
  subnets: readonly Prefix[];
  /** the devices on it: ends of pods' veth pairs, and whatever else somebody put there */
  ports: readonly string[];
}

/** undefined where no bridge has this name. Throws as {@link lookAtLinks} does. */
export async function readCniBridge(
  name = CNI_BRIDGE,
  run: Exec = exec,
): Promise<CniBridge | undefined> {
  return cniBridgeIn(await lookAtLinks(run), name);
}

/** The same among links that were read already. */
export function cniBridgeIn(
  links: readonly AddressedLink[],
  name = CNI_BRIDGE,
): CniBridge | undefined {
  const found = links.find(({ ifname }) => ifname === name);
  if (found?.linkinfo?.info_kind !== 'bridge') return undefined;
  const subnets = found.addr_info
    .filter(({ scope }) => scope !== 'link')
    .flatMap(({ local, prefixlen }) => parsePrefix(`${local}/${prefixlen}`) ?? []);
  const ports = links.filter(({ master }) => master === name).map(({ ifname }) => ifname);
  return { name, subnets, ports };
}

/** Throws when something is on it by now, which would be cut off. */
export async function removeBridge(name: string, run: Exec = exec): Promise<void> {
  const now = await readCniBridge(name, run);
  if (!now) return;
  if (now.ports.length > 0) throw new Error(`devices on it by now: ${now.ports.length}`);
  await run('ip', ['link', 'delete', 'dev', name, 'type', 'bridge']);
}

/** Subnets of the bridge that lie outside the node's own of that family. What lies inside somebody chose for this node. */
export function staleSubnets({ subnets }: CniBridge, own: LeaseSubnets): Prefix[] {
  return subnets.filter((subnet) => {
    const ours = familyOf(subnet.words) === 4 ? own.subnet4 : own.subnet6;
    return ours !== undefined && !isWithin(subnet, ours);
  });
}

/** Whether the whole of the first lies in the second. */
export function isWithin(subnet: Prefix, ours: Prefix): boolean {
  return prefixLength(subnet) >= prefixLength(ours) && prefixContains(ours, subnet.words);
}
