/** This node's VTEPs: the MACs of its devices, which peers know, and what its lease says of them. */
import type { Vtep } from '../../cluster/kinds/kind.ts';
import { isOwnAddress } from '../../cluster/lease/acquire.ts';
import type { Lease, LeaseAttributes } from '../../cluster/lease/lease.ts';
import type { Leftover } from '../../host/preflight.ts';
import { formatMac, type Mac, parseMac } from '../../shared/address.ts';
import type { PlainLog } from '../../shared/repeats.ts';
import { randomMac } from '../plane/state.ts';

/** By device name. */
export type Macs = Readonly<Record<string, Mac>>;

/** MACs of all nodes but this one. */
export function macsOfOthers(
  vtep: Vtep,
  leases: readonly Lease[],
  own: LeaseAttributes,
): ReadonlySet<string> {
  const others = leases.filter((lease) => !isOwnAddress(own, lease.attributes));
  const data = others.flatMap(({ attributes: a }) => [a.backendData, a.backendV6Data]);
  return new Set(data.flatMap((value) => vtep.macOf(value) ?? []).map(formatMac));
}

/** What peers know from the run before. `devices` of these families, in their order. */
export function macsIn(
  vtep: Vtep,
  devices: readonly string[],
  families: readonly (4 | 6)[],
  published: LeaseAttributes | undefined,
): Macs {
  const entries = devices.flatMap((device, i) => {
    const data = families[i] === 4 ? published?.backendData : published?.backendV6Data;
    const mac = vtep.macOf(data);
    return mac ? [[device, mac] as const] : [];
  });
  return Object.fromEntries(entries);
}

/**
 * For each device the MAC of the kernel device whose place we take, else that of the last run, unless another node has it: state
 * folders get cloned.
 */
export function chooseMacs(
  devices: readonly string[],
  leftovers: readonly Leftover[],
  known: Macs,
  taken: ReadonlySet<string>,
  log: PlainLog,
): Macs {
  const choose = (device: string): Mac => {
    const leftover = leftovers.find(({ name }) => name === device);
    const mac = (leftover && parseMac(leftover.mac)) ?? known[device];
    if (mac && !taken.has(formatMac(mac))) return mac;
    if (mac) log.warn(`${device}: another node has the MAC ${formatMac(mac)}; taking a new one`);
    return randomMac();
  };
  return Object.fromEntries(devices.map((device) => [device, choose(device)]));
}
