/** Checks of the store, the network config and the leases in it. */
import { isTaken } from '../../cluster/lease/allocate.ts';
import type { Lease, LeaseSubnets } from '../../cluster/lease/lease.ts';
import { type NetworkConfig, parseNetworkConfig } from '../../cluster/network-config.ts';
import { readSubnetEnv } from '../../host/subnet-env.ts';
import { formatAddress, formatPrefix, type Prefix, prefixContains } from '../../shared/address.ts';
import { messageOf } from '../../shared/errors.ts';
import { renderAge } from '../render.ts';
import { numberOf } from './address-number.ts';
import { type Check, type Finding, fail, ok, skipped, someOf, warn } from './check.ts';
import { isRoot, NOT_ROOT } from './rights.ts';
import type { StatusPage, StoreView } from './site.ts';

const SLOW_MS = 500;
const SKEW_MS = 30_000;
const LEASE_MS = 86_400_000;
const EXPIRING_MS = 900_000;

const STORE_FIXES = {
  file: 'make or mount the folder that --store names',
  etcd: 'start etcd or correct --etcd-endpoints; try: etcdctl endpoint health',
  kubernetes:
    'check the API server, the network path to it, and --kube-api-url or --kubeconfig-file; a Service address needs kube-proxy, and a range outside Network',
};

/** The store as the daemon sees it, where only the daemon can ask: a pod's ServiceAccount is not to be seen from the host. */
export function judgeDaemonsStore({ name, ok: answers, message }: StatusPage['store']): Finding {
  if (answers) return ok(`${name} answers the daemon`);
  return fail(`${name} does not answer the daemon: ${message}`, STORE_FIXES.kubernetes);
}

export function judgeStore(view: StoreView, kind = 'etcd'): Finding {
  if ('error' in view)
    return fail(
      view.error,
      STORE_FIXES[kind as keyof typeof STORE_FIXES] ?? 'check the store and the network path to it',
    );
  const { leases, unreadable } = view.list;
  const took = `${view.name} answers in ${view.tookMs.toFixed(1)} ms, ${leases.length + unreadable.length} leases`;
  return view.tookMs > SLOW_MS
    ? warn(took, "check etcd's disk and the network path to it")
    : ok(took);
}

export function judgeConfig(place: string, text: string | undefined): Finding {
  const example = '{"Network":"10.244.0.0/16","Backend":{"Type":"vxlan"}}';
  if (text === undefined) return fail(`no network config at ${place}`, `write there: ${example}`);
  try {
    const { backend, ipv4, ipv6 } = parseNetworkConfig(text);
    const networks = [ipv4, ipv6].flatMap((range) => (range ? formatPrefix(range.network) : []));
    return ok(`${networks.join(' and ')} by ${backend.type}`);
  } catch (error) {
    return fail(`${place}: ${messageOf(error)}`, `correct it; the shape is ${example}`);
  }
}

/** `aheadMs`: how far others' clocks are ahead of ours; negative when behind. */
export function judgeClock(aheadMs: number, how: string): Finding {
  const figures = `${(Math.abs(aheadMs) / 1000).toFixed(0)} s`;
  if (Math.abs(aheadMs) < SKEW_MS) return ok(`within ${SKEW_MS / 1000} s, by ${how}`);
  return warn(
    `this node's clock is ${figures} ${aheadMs > 0 ? 'behind' : 'ahead'}, by ${how}: leases expire at the wrong time`,
    'timedatectl set-ntp true',
  );
}

export function judgeDuplicates(leases: readonly Lease[]): Finding {
  const holders = new Map<string, string[]>();
  for (const { key, attributes } of leases) {
    for (const words of [attributes.publicIp4, attributes.publicIp6]) {
      if (!words) continue;
      const address = formatAddress(words);
      holders.set(address, [...(holders.get(address) ?? []), key]);
    }
  }
  const shared = [...holders].filter(([, keys]) => keys.length > 1);
  if (shared.length === 0) return ok(`${leases.length} leases, each with its own`);
  const list = shared.map(([address, keys]) => `${address} is in ${someOf(keys)}`);
  return fail(
    `${someOf(list)}: answers go to one of them only`,
    'give each node its own address: --iface or --public-ip; then delete the stale key from the store',
  );
}

export function judgeLeaseOverlap(leases: readonly Lease[]): Finding {
  const all = leases.flatMap(({ key, subnet4, subnet6 }) =>
    [subnet4, subnet6].flatMap((subnet) => (subnet ? [{ key, subnet }] : [])),
  );
  // Sorted by address a subnet can only overlap its neighbours in the order, which keeps large tables quick.
  const order = (prefix: Prefix): string =>
    prefix.words.map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
  all.sort(
    (a, b) => order(a.subnet).localeCompare(order(b.subnet)) || a.subnet.bits - b.subnet.bits,
  );
  const clashes: string[] = [];
  let widest = all[0];
  for (const next of all.slice(1)) {
    if (widest && prefixContains(widest.subnet, next.subnet.words) && widest.key !== next.key)
      clashes.push(`${widest.key} and ${next.key}`);
    else widest = next;
  }
  if (clashes.length === 0) return ok('no two leases overlap');
  return fail(
    `overlapping: ${someOf(clashes)}`,
    'delete one of each pair from the store; its node takes a new subnet when it is restarted',
  );
}

/** How many subnets of a family there are, and how many of them somebody leases. `hasOwn`: this node has its lease already. */
export function judgeRoom(
  config: NetworkConfig | undefined,
  leases: readonly Lease[],
  hasOwn: boolean,
): Finding {
  const rooms = ([4, 6] as const).flatMap((family) => {
    const range = config?.[`ipv${family}`];
    if (!range) return [];
    const { subnetMin, subnetMax } = range;
    const hostBits = BigInt(128 - subnetMin.bits);
    const indexOf = ({ words }: Prefix): bigint => numberOf(words) >> hostBits;
    const all = indexOf(subnetMax) - indexOf(subnetMin) + 1n;
    const isCounted = (subnet: Prefix): boolean =>
      indexOf(subnet) >= indexOf(subnetMin) && indexOf(subnet) <= indexOf(subnetMax);
    const taken = leases
      .flatMap((lease) => lease[`subnet${family}`] ?? [])
      .filter(isCounted).length;
    return [{ family, all, taken, isFull: BigInt(taken) >= all }];
  });
  if (rooms.length === 0) return skipped('no network config');
  const list = rooms.map(({ family, all, taken }) => `IPv${family}: ${taken} of ${all} leased`);
  if (!rooms.some(({ isFull }) => isFull)) return ok(list.join(', '));
  return (hasOwn ? warn : fail)(
    `${list.join(', ')}: no node can join`,
    'delete the leases of nodes that are gone from the store, or widen Network (or SubnetMin, SubnetMax) in the network config',
  );
}

export interface LeaseFacts {
  key: string;
  /** of the running daemon, '' without one */
  state: string;
  expiresAtMs: number | undefined;
}

export function judgeLease(facts: LeaseFacts | undefined, nowMs: number): Finding {
  if (!facts) return skipped('this node has no lease yet');
  const { key, state, expiresAtMs } = facts;
  if (state === 'taken')
    return fail(
      `${key} now belongs to another node`,
      'two nodes have one public address, or a subnet was given twice: see duplicate-public-ip; then restart weftd',
    );
  if (state === 'remembered')
    return warn(
      `${key} is what the daemon remembers; its store does not answer`,
      'bring the store back',
    );
  if (state !== '' && state !== 'held')
    return fail(`${key} is ${state}`, 'bring the store back, or restart weftd');
  if (expiresAtMs === undefined) return ok(`${key}, without expiry`);
  const leftMs = expiresAtMs - nowMs;
  const left = leftMs > 0 ? `ends in ${renderAge(leftMs)}` : `ended ${renderAge(-leftMs)} ago`;
  if (leftMs > EXPIRING_MS) return ok(`${key}, ${left}`);
  return (leftMs > 0 ? warn : fail)(
    `${key} ${left} and was not renewed`,
    state === '' ? 'systemctl start weftd' : "check the store and this node's clock",
  );
}

/** `previous`: the subnets of the last run. */
export function judgeNoLease(
  previous: LeaseSubnets | undefined,
  leases: readonly Lease[],
): Finding {
  if (!previous) return skipped('this node has no lease yet');
  if (isTaken(previous, leases))
    return fail(
      'the subnet of the last run is now held by another node',
      'start weftd, which takes another subnet; then recreate the pods of this node',
    );
  return warn(
    'the lease of the last run is gone (expired or deleted), its subnet is still free',
    'systemctl start weftd, which takes the same subnet again',
  );
}

/** `file`: the subnet in the file, `lease`: the one in the store; undefined = none. */
export function judgeSubnetFile(
  name: string,
  file: string | undefined,
  lease: string | undefined,
  isRunning: boolean,
): Finding {
  if (lease === undefined) return skipped('this node has no lease yet');
  const fix = isRunning ? 'systemctl restart weftd' : 'systemctl start weftd';
  if (file === undefined) return fail(`${name} is missing or has no subnet: no pod can start`, fix);
  if (file === lease) return ok(`${name} says ${file}, as the lease`);
  return fail(`${name} says ${file}, the lease ${lease}`, fix);
}

export const STORE_CHECKS: readonly Check[] = [
  {
    id: 'store-reachable',
    group: 'store',
    severity: 'fail',
    title: 'store',
    run: async (site) => {
      const view = await site.store();
      const isHidden = site.isGuess || (!isRoot() && 'error' in view && /EACCES/.test(view.error));
      if ('error' in view && isHidden) return skipped(NOT_ROOT);
      const kind = site.settings?.store.kind;
      const daemon = await site.daemon();
      if ('error' in view && kind === 'kubernetes' && daemon)
        return judgeDaemonsStore(daemon.store);
      return judgeStore(view, kind);
    },
  },
  {
    id: 'network-config',
    group: 'store',
    severity: 'fail',
    title: 'network config',
    run: async (site) => {
      const view = await site.store();
      return 'error' in view ? skipped('no store') : judgeConfig(view.place, view.config);
    },
  },
  {
    id: 'store-clock',
    group: 'store',
    severity: 'warn',
    title: 'clock',
    run: async (site) => {
      const view = await site.store();
      if ('error' in view) return skipped('no store');
      const late = (await site.leases()).map(
        (lease) => (lease.expiresAtMs ?? 0) - Date.now() - LEASE_MS,
      );
      const ahead = Math.max(0, ...late);
      if (ahead > SKEW_MS) return judgeClock(ahead, 'the end of the newest lease');
      const clock = await site.clock();
      return typeof clock === 'string' ? skipped(clock) : judgeClock(clock.aheadMs, clock.by);
    },
  },
  {
    id: 'junk-leases',
    group: 'store',
    severity: 'warn',
    title: 'lease values',
    run: async (site) => {
      const view = await site.store();
      if ('error' in view) return skipped('no store');
      const junk = view.list.unreadable;
      if (junk.length === 0) return ok('all can be read');
      return warn(`can't be read: ${someOf(junk)}`, 'delete these keys from the store');
    },
  },
  {
    id: 'duplicate-public-ip',
    group: 'store',
    severity: 'fail',
    title: 'public addresses',
    run: async (site) => judgeDuplicates(await site.leases()),
  },
  {
    id: 'lease-overlap',
    group: 'store',
    severity: 'fail',
    title: 'subnets',
    run: async (site) => judgeLeaseOverlap(await site.leases()),
  },
  {
    id: 'network-room',
    group: 'store',
    severity: 'fail',
    title: 'subnets that are left',
    run: async (site) =>
      judgeRoom(await site.config(), await site.leases(), (await site.ownLease()) !== undefined),
  },
  {
    id: 'lease-state',
    group: 'store',
    severity: 'fail',
    title: 'own lease',
    run: async (site) => {
      const held = (await site.daemon())?.lease;
      const stored = await site.ownLease();
      const key = held?.key ?? stored?.key;
      if (key === undefined && site.settings) {
        const { subnets } = await readSubnetEnv(site.settings.subnetFile);
        return judgeNoLease(subnets, await site.leases());
      }
      if (key === undefined) return judgeLease(undefined, 0);
      const known = held?.expiresAt ? Date.parse(held.expiresAt) : undefined;
      const facts = { key, state: held?.state ?? '', expiresAtMs: stored?.expiresAtMs ?? known };
      return judgeLease(facts, Date.now());
    },
  },
  {
    id: 'subnet-file',
    group: 'store',
    severity: 'fail',
    title: 'subnet.env',
    run: async (site) => {
      if (!site.settings) return skipped('no settings');
      const { subnetFile } = site.settings;
      const text = (prefix: Prefix | undefined): string | undefined =>
        prefix && formatPrefix(prefix);
      const { subnets } = await readSubnetEnv(subnetFile);
      const lease = await site.ownLease();
      const isRunning = (await site.daemon()) !== undefined;
      return judgeSubnetFile(
        subnetFile,
        text(subnets?.subnet4 ?? subnets?.subnet6),
        text(lease?.subnet4 ?? lease?.subnet6),
        isRunning,
      );
    },
  },
];
