/** A node that is played: what the i-th one writes into the store. */
import { leaseKey, leaseValue } from '../../lab/lease-file.ts';
import { mustParsePrefix } from '../../lab/node.ts';

/** Network config of a cluster with room for them; the nodes under test take their subnets behind SubnetMin. */
export const FLEET_CONFIG = {
  Network: '10.128.0.0/9',
  SubnetLen: 25,
  SubnetMin: '10.255.128.0',
  Backend: { Type: 'vxlan' },
} as const;
/** As many subnets lie in front of SubnetMin. */
export const FLEET_MAX = 65_000;
/** flannel's. */
export const LEASE_SECONDS = 86_400;

function subnetOf(i: number): string {
  return `10.${128 + (i >> 9)}.${(i >> 1) & 255}.${(i & 1) * 128}/25`;
}

/** A pod's address of the i-th node. */
export function fleetPod(i: number): string {
  return subnetOf(i).replace(/\.(\d+)\/25$/, (_, last: string) => `.${Number(last) + 2}`);
}

export function fleetKey(i: number): string {
  return leaseKey({ subnet4: mustParsePrefix(subnetOf(i)) });
}

/** MAC of the i-th node's VTEP, after so many changes. */
export function fleetMac(i: number, change: number): string {
  const hex = (byte: number): string => (byte & 255).toString(16).padStart(2, '0');
  return `02:${hex(change)}:00:${hex(i >> 16)}:${hex(i >> 8)}:${hex(i)}`;
}

/** Public addresses are of the range for benchmarks (RFC 2544): nobody has them. */
export function fleetValue(i: number, change: number): string {
  return leaseValue({
    publicIp: `198.18.${(i >> 8) & 255}.${i & 255}`,
    vtepMac: fleetMac(i, change),
  });
}
