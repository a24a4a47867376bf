/** A registry over any key-value store: leases are keys that expire unless they are renewed (flannel pkg/subnet/etcd). */
import { acquireLease, isOwnAddress, junkKeys, parseLeases } from '../lease/acquire.ts';
import type {
  ClockReading,
  HeldLease,
  JoinWish,
  LeaseList,
  MemoryPolicy,
  Registry,
} from '../registry.ts';
import { KeyedLease, type KeyedOptions } from './keyed-lease.ts';
import type { Snapshot, Store } from './store.ts';

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
    return this.listOf(await this.store.list());
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
    this.store.watch((snapshot) => onList(this.listOf(snapshot)), onError, signal);
  }

  readClock(): Promise<ClockReading | string> {
    return this.store.readClock();
  }

  async close(): Promise<void> {
    this.held?.stop();
    await this.store.close();
  }

  private listOf(snapshot: Snapshot): LeaseList {
    const leases = parseLeases(snapshot);
    const junk = leases.length < snapshot.leases.length ? junkKeys(snapshot) : [];
    const unreadable = [...junk, ...(snapshot.broken ?? [])];
    return { leases, unreadable, ownIsThere: this.held?.observe(leases) ?? false };
  }
}
