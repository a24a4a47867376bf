/** Choosing a subnet (flannel pkg/subnet/etcd allocateSubnet): pure, no store. */
import { type Prefix, sameWords } from '../../shared/address.ts';
import { EXIT, WeftError } from '../../shared/errors.ts';
import type { FamilyConfig, NetworkConfig } from '../network-config.ts';
import { addToAddress, compareAddresses, overlaps } from './arithmetic.ts';
import type { Lease, LeaseAttributes, LeaseSubnets } from './lease.ts';
import { PrefixIndex } from './prefix-index.ts';

/** flannel stops looking after this many free subnets and picks one of them. */
const CANDIDATES_MAX = 100;

/**
 * A free subnet per enabled family, picked at random. One that holds a node's own address is not free: Network may be as wide as the
 * site. Throws ERR_OUT_OF_SUBNETS.
 *
 * flannel draws for each family; here both families share one draw. Nodes that start at the same moment choose from the same lists: they
 * then pick either the same key, which the store gives to one of them, or nothing in common. With two draws one of them would have to
 * take back a key whose other subnet is its rival's, and stock nodes would take the routes to it away with that key.
 */
export function allocateSubnets(
  config: NetworkConfig,
  leases: readonly Lease[],
  own: LeaseAttributes,
  random: () => number = Math.random,
): LeaseSubnets {
  const subnets: LeaseSubnets = {};
  const draw = random();
  if (config.ipv4) subnets.subnet4 = pickFree(config.ipv4, takenIn(4, leases, own), draw);
  if (config.ipv6) subnets.subnet6 = pickFree(config.ipv6, takenIn(6, leases, own), draw);
  return subnets;
}

/** Leased subnets, and the addresses of all nodes. */
function takenIn(family: 4 | 6, leases: readonly Lease[], own: LeaseAttributes): Prefix[] {
  const subnets = leases.map(({ subnet4, subnet6 }) => (family === 4 ? subnet4 : subnet6));
  const nodes = [own, ...leases.map(({ attributes }) => attributes)];
  const addresses = nodes.map(({ publicIp4, publicIp6 }) => (family === 4 ? publicIp4 : publicIp6));
  return [
    ...subnets.flatMap((subnet) => subnet ?? []),
    ...addresses.flatMap((words) => (words ? { words, bits: 128 } : [])),
  ];
}

/** `draw` is at least 0 and less than 1. */
function pickFree(family: FamilyConfig, taken: readonly Prefix[], draw: number): Prefix {
  const { bits } = family.subnetMin;
  const candidates: Prefix[] = [];
  const leased = new PrefixIndex<Prefix>((prefix) => prefix);
  for (const subnet of taken) leased.add(subnet);
  let words = family.subnetMin.words;
  while (
    compareAddresses(words, family.subnetMax.words) <= 0 &&
    candidates.length < CANDIDATES_MAX
  ) {
    const subnet = { words, bits };
    if (leased.overlapping(subnet).length === 0) candidates.push(subnet);
    words = addToAddress(words, bits, 1);
  }
  const picked = candidates[Math.floor(draw * candidates.length)];
  if (picked) return picked;
  throw new WeftError(
    'ERR_OUT_OF_SUBNETS',
    EXIT.failure,
    'out of subnets: every subnet of the network config is leased; enlarge Network or remove stale leases',
  );
}

/** Whether a lease's subnets are ones this config would hand out. */
export function fitsConfig(config: NetworkConfig, subnets: LeaseSubnets): boolean {
  return fitsFamily(config.ipv4, subnets.subnet4) && fitsFamily(config.ipv6, subnets.subnet6);
}

function fitsFamily(family: FamilyConfig | undefined, subnet: Prefix | undefined): boolean {
  if (!family || !subnet) return !family && !subnet;
  return (
    subnet.bits === family.subnetMin.bits &&
    compareAddresses(subnet.words, family.subnetMin.words) >= 0 &&
    compareAddresses(subnet.words, family.subnetMax.words) <= 0
  );
}

export function sameSubnets(a: LeaseSubnets, b: LeaseSubnets): boolean {
  const same = (x: Prefix | undefined, y: Prefix | undefined): boolean =>
    x === y || (!!x && !!y && x.bits === y.bits && sameWords(x.words, y.words));
  return same(a.subnet4, b.subnet4) && same(a.subnet6, b.subnet6);
}

/** Whether any lease overlaps these subnets. */
export function isTaken(subnets: LeaseSubnets, leases: readonly Lease[]): boolean {
  const clash = (a: Prefix | undefined, b: Prefix | undefined): boolean =>
    !!a && !!b && overlaps(a, b);
  return leases.some(
    (lease) => clash(lease.subnet4, subnets.subnet4) || clash(lease.subnet6, subnets.subnet6),
  );
}
