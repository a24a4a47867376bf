/** Getting this node's lease (reference: flannel pkg/subnet/etcd tryAcquireLease), with lost races retried. */
import { sameWords } from '../../shared/address.ts';
import { EXIT, WeftError } from '../../shared/errors.ts';
import type { NetworkConfig } from '../network-config.ts';
import type { Snapshot, Store, StoredLease } from '../store/store.ts';
import { allocateSubnets, fitsConfig, isTaken } from './allocate.ts';
import { formatKey, parseKey } from './key.ts';
import type { Lease, LeaseAttributes, LeaseSubnets } from './lease.ts';
import { decodeValue, encodeValue } from './value.ts';

/** flannel's lease time. */
export const LEASE_TTL_MS = 86_400_000;
const ATTEMPTS_MAX = 10;

/** Parsed once per stored lease: stores keep the object of what did not change. */
const parsed = new WeakMap<StoredLease, Lease | undefined>();

/** Leases that can be read; junk is skipped. */
export function parseLeases(snapshot: Snapshot): Lease[] {
  return snapshot.leases.flatMap((stored) => leaseOf(stored) ?? []);
}

/** undefined for junk. */
export function leaseOf(stored: StoredLease): Lease | undefined {
  if (!parsed.has(stored)) parsed.set(stored, parseLease(stored));
  return parsed.get(stored);
}

function parseLease(stored: StoredLease): Lease | undefined {
  const subnets = parseKey(stored.key);
  const attributes = decodeValue(stored.value);
  if (!subnets || !attributes) return undefined;
  const { key, isPermanent, revision, expiresAtMs } = stored;
  const lease: Lease = { ...subnets, key, attributes, isPermanent, revision };
  return expiresAtMs === undefined ? lease : { ...lease, expiresAtMs };
}

/** The node's identity in the store is its public address. */
export function isOwnAddress(own: LeaseAttributes, other: LeaseAttributes): boolean {
  if (own.publicIp4) return !!other.publicIp4 && sameWords(own.publicIp4, other.publicIp4);
  return !!own.publicIp6 && !!other.publicIp6 && sameWords(own.publicIp6, other.publicIp6);
}

/** Reuses our lease or the previous subnet, else takes a free one. Throws ERR_OUT_OF_SUBNETS, ERR_LEASE_RACE or store errors. */
export async function acquireLease(
  store: Store,
  config: NetworkConfig,
  attributes: LeaseAttributes,
  previous: LeaseSubnets | undefined,
  random: () => number = Math.random,
  nowMs: () => number = Date.now,
): Promise<Lease> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const lease = await tryAcquire(store, config, attributes, previous, random);
    if (lease) return withExpiry(lease, nowMs());
  }
  throw new WeftError(
    'ERR_LEASE_RACE',
    EXIT.unavailable,
    `lease: lost ${ATTEMPTS_MAX} races for a subnet in ${store.name}; start again`,
  );
}

async function tryAcquire(
  store: Store,
  config: NetworkConfig,
  attributes: LeaseAttributes,
  previous: LeaseSubnets | undefined,
  random: () => number,
): Promise<Lease | undefined> {
  let leases = parseLeases(await store.list());
  const own = leases.find((lease) => isOwnAddress(attributes, lease.attributes));
  if (own && fitsConfig(config, own)) return reuse(store, own, attributes);
  if (own) {
    await store.delete(own.key, own.revision);
    leases = leases.filter((lease) => lease !== own);
  }
  const usable = previous && fitsConfig(config, previous) && !isTaken(previous, leases);
  const subnets = usable ? previous : allocateSubnets(config, leases, attributes, random);
  const key = formatKey(subnets);
  const created = await store.create(key, encodeValue(attributes), LEASE_TTL_MS);
  if (created === 'exists') return undefined;
  return keepUnlessShared(store, key, subnets);
}

/**
 * A dual-stack key names both subnets, so nodes that pick one of them in common and not the other at the same time, as flannel's do,
 * both create their key. Whoever sees the other's behind its own creation takes its own back; the later creator always sees both.
 */
async function keepUnlessShared(
  store: Store,
  key: string,
  subnets: LeaseSubnets,
): Promise<Lease | undefined> {
  const leases = parseLeases(await store.list());
  const own = leases.find((lease) => lease.key === key);
  const others = leases.filter((lease) => lease.key !== key);
  if (!own || !isTaken(subnets, others)) return own;
  await store.delete(key, own.revision);
  return undefined;
}

/** A reservation stays one. */
async function reuse(
  store: Store,
  own: Lease,
  attributes: LeaseAttributes,
): Promise<Lease | undefined> {
  const ttlMs = own.isPermanent ? undefined : LEASE_TTL_MS;
  const result = await store.replace(own.key, encodeValue(attributes), ttlMs, own.revision);
  if (!result.ok) return undefined;
  return { ...own, attributes, revision: result.revision };
}

/** Our own lease has just been written: its time begins now. */
function withExpiry(lease: Lease, nowMs: number): Lease {
  return lease.isPermanent ? lease : { ...lease, expiresAtMs: nowMs + LEASE_TTL_MS };
}
