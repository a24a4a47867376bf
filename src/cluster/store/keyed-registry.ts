/** A registry over any key-value store: leases are keys that expire unless they are renewed (flannel pkg/subnet/etcd). */
import { Pace } from '../../shared/pace.ts';
import { acquireLease, isOwnAddress, leaseOf } from '../lease/acquire.ts';
import type {
  ClockReading,
  HeldLease,
  JoinWish,
  LeaseList,
  MemoryPolicy,
  Registry,
} from '../registry.ts';
import { type Found, WatchedLeases } from '../watched-leases.ts';
import { KeyedLease, type KeyedOptions } from './keyed-lease.ts';
import type { Snapshot, Store, StoredLease } from './store.ts';

/** How often a watch delivers at most: what changes meanwhile is one delivery. */
export const DELIVERY_MS = 100;

export class KeyedRegistry implements Registry {
  private readonly store: Store;
  private readonly options: KeyedOptions;
  private held: KeyedLease | undefined;

  /** The store is closed with the registry. */
  constructor(store: Store, options: KeyedOptions) {
    this.store = store;
    this.options = options;
  }

  get name(): string {
    return this.store.name;
  }

  get configPlace(): string {
    return this.store.configPlace;
  }

  /** Who has a public address had its lease; when that has ended, others may have its subnet. */
  get memory(): MemoryPolicy {
    return {
      of: `${this.name} ${this.configPlace}`,
      until: ({ isPermanent, expiresAtMs }) => (isPermanent ? undefined : (expiresAtMs ?? 0)),
      isOurs: (own, attributes) => isOwnAddress(own.attributes, attributes),
    };
  }

  readConfig(): Promise<string | undefined> {
    return this.store.readConfig();
  }

  async list(): Promise<LeaseList> {
    const leases = new WatchedLeases();
    hear(leases, await this.store.list());
    return this.listOf(leases);
  }

  async join({ config, attributes, previous }: JoinWish): Promise<HeldLease> {
    const nowMs = (): number => this.options.clock.nowMs();
    const lease = await acquireLease(this.store, config, attributes, previous, Math.random, nowMs);
    this.held = new KeyedLease(this.store, lease, this.options);
    return this.held;
  }

  watch(
    onList: (list: LeaseList) => void,
    onError: (error: Error) => void,
    signal: AbortSignal,
  ): void {
    const leases = new WatchedLeases();
    const pace = new Pace(this.options.clock, DELIVERY_MS, () => onList(this.listOf(leases)));
    signal.addEventListener('abort', () => pace.stop(), { once: true });
    this.store.watch(
      (snapshot) => {
        hear(leases, snapshot);
        // Our own key may be lost, and somebody else's the next moment.
        if (this.held && snapshot.changes?.has(this.held.lease.key)) pace.hurry();
        else pace.hear();
      },
      (error) => {
        pace.stop(); // what is known by now is older than the failure
        onError(error);
      },
      signal,
    );
  }

  readClock(): Promise<ClockReading | string> {
    return this.store.readClock();
  }

  async close(): Promise<void> {
    this.held?.stop();
    await this.store.close();
  }

  private listOf(leases: WatchedLeases): LeaseList {
    const { held } = this;
    const ownIsThere = held?.see(leases.get(held.lease.key), () => leases.all()) ?? false;
    return leases.take(ownIsThere);
  }
}

/** With changes nobody asks for the leases: they would all be put into a list. */
function hear(watched: WatchedLeases, snapshot: Snapshot): void {
  const { changes, broken = [] } = snapshot;
  if (changes) watched.change(foundIn(changes), broken);
  else watched.replace(foundIn(snapshot.leases.map((stored) => [stored.key, stored])), broken);
}

function* foundIn(
  entries: Iterable<readonly [string, StoredLease | undefined]>,
): Generator<[string, Found]> {
  for (const [key, stored] of entries) yield [key, stored && (leaseOf(stored) ?? 'unreadable')];
}
