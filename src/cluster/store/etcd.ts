/**
 * The etcd store: flannel's keys and values (flannel pkg/subnet/etcd registry). Correctness never rests on single events: every
 * watch begins with a list, and whatever ends it leads to the next list.
 */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Etcd3, ICompare, IEvent, IKeyValue, IRequestOp } from 'etcd3';
import { PEERS_MAX, STORE_VALUE_BYTES_MAX } from '../../shared/limits.ts';
import { parseKey } from '../lease/key.ts';
import type { ClockReading } from '../registry.ts';
import { readPages } from './etcd-pages.ts';
import { EtcdSession } from './etcd-session.ts';
import { followKeys, type KeyRange } from './etcd-watch.ts';
import type { EtcdSettings } from './settings.ts';
import type { CreateResult, ReplaceResult, Snapshot, Store, StoredLease } from './store.ts';

const BACKOFF_MS_MIN = 100;
const BACKOFF_MS_MAX = 5_000;
/** How long an event may take behind the answer to a read. */
const EVENT_LATE_MS = 1_000;
const CLOCK_WAIT_MS = 2_000;
/** etcd's "no lease". */
const NO_LEASE = '0';

export class EtcdStore implements Store {
  readonly name: string;
  private readonly session: EtcdSession;
  private readonly endpoints: readonly string[];
  private readonly configKey: Buffer;
  private readonly folder: string;
  private readonly range: KeyRange;
  /** what the watch's last list and the events since said, junk included, by key */
  private known = new Map<string, StoredLease>();
  /** of the newest of these */
  private revision = '0';

  constructor(settings: EtcdSettings) {
    this.session = new EtcdSession(settings);
    this.endpoints = settings.endpoints;
    this.name = this.session.name;
    this.configKey = Buffer.from(path.posix.join(settings.prefix, 'config'));
    const subnets = path.posix.join(settings.prefix, 'subnets');
    this.folder = `${subnets}/`;
    // The range of a prefix ends before the prefix with its last byte one higher: "0" follows "/".
    const behind = `${subnets}0`;
    this.range = { key: Buffer.from(this.folder), range_end: Buffer.from(behind) };
  }

  get configPlace(): string {
    return `etcd key ${this.configKey.toString()}`;
  }

  async readConfig(): Promise<string | undefined> {
    const { kvs } = await this.session.call((client) => client.kv.range({ key: this.configKey }));
    return kvs[0]?.value.toString('utf8');
  }

  async list(): Promise<Snapshot> {
    const { leases } = await this.read();
    return { leases: [...leases.values()] };
  }

  private async read(): Promise<{ leases: Map<string, StoredLease>; revision: string }> {
    const leases = new Map<string, StoredLease>();
    const revision = await readPages(
      this.session,
      this.range,
      PEERS_MAX,
      () => leases.clear(),
      (kv) => leases.set(this.keyOf(kv), this.toLease(kv)),
    );
    return { leases, revision };
  }

  watch(
    onSnapshot: (snapshot: Snapshot) => void,
    onError: (error: Error) => void,
    signal: AbortSignal,
  ): void {
    void this.watchLoop(onSnapshot, onError, signal);
  }

  private async watchLoop(
    onSnapshot: (snapshot: Snapshot) => void,
    onError: (error: Error) => void,
    signal: AbortSignal,
  ): Promise<void> {
    let backoffMs = BACKOFF_MS_MIN;
    while (!signal.aborted) {
      const startedAt = performance.now();
      try {
        const { leases, revision } = await this.read();
        if (signal.aborted) return;
        this.known = leases;
        this.revision = revision;
        onSnapshot(this.snapshot());
        await this.follow(onSnapshot, signal);
      } catch (error) {
        if (!signal.aborted) onError(error as Error);
      }
      if (performance.now() - startedAt > BACKOFF_MS_MAX) backoffMs = BACKOFF_MS_MIN;
      await sleep(backoffMs, undefined, { signal }).catch(() => undefined);
      backoffMs = Math.min(BACKOFF_MS_MAX, backoffMs * 2);
    }
  }

  private async follow(
    onSnapshot: (snapshot: Snapshot) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const client = this.session.current();
    const { client: etcd } = await client;
    const apply = (events: IEvent[]): void => {
      const changes = new Map(events.map((event) => this.applyEvent(event)));
      onSnapshot(Object.assign(this.snapshot(), { changes }));
    };
    const inStep = (): Promise<boolean> => this.isInStep(etcd);
    const why = await followKeys(etcd, this.range, this.revision, apply, inStep, signal);
    // Compaction is no fault of the connection; after anything else another one is better.
    if (!signal.aborted && !why.startsWith('compacted')) this.session.drop(client, true);
  }

  private applyEvent({ type, kv }: IEvent): readonly [string, StoredLease | undefined] {
    const key = this.keyOf(kv);
    const lease = type === 'Put' ? this.toLease(kv) : undefined;
    if (lease) this.known.set(key, lease);
    else this.known.delete(key);
    this.revision = kv.mod_revision;
    return [key, lease];
  }

  /** Compares the number of keys and the newest change with etcd's; a second look gives events in flight time to come. */
  private async isInStep(client: Etcd3): Promise<boolean> {
    for (let look = 0; look < 2; look++) {
      const before = this.revision;
      const { count, newest } = await this.lookAtNewest(client);
      const revision = newest?.mod_revision ?? NO_LEASE;
      if (count === this.known.size && this.knowsRevision(revision)) return true;
      if (this.revision !== before) return this.wasInStep(client);
      await sleep(EVENT_LATE_MS);
    }
    return false;
  }

  /** While changes go on, the present is no measure: what is known now is compared with what etcd had at that revision. */
  private async wasInStep(client: Etcd3): Promise<boolean> {
    const { revision, known } = this;
    const { size } = known;
    const { count, newest } = await this.lookAtNewest(client, revision);
    if (!newest || count !== size) return count === size;
    const lease = this.known.get(this.keyOf(newest));
    if (!lease) return this.revision !== revision; // removed since then
    return BigInt(lease.revision) >= BigInt(newest.mod_revision);
  }

  private async lookAtNewest(
    client: Etcd3,
    revision?: string,
  ): Promise<{ count: number; newest: IKeyValue | undefined }> {
    const { count, kvs } = await client.kv.range({
      ...this.range,
      ...(revision && { revision }),
      limit: 1,
      keys_only: true,
      sort_order: 'Descend',
      sort_target: 'Mod',
    });
    return { count: Number(count), newest: kvs[0] };
  }

  private knowsRevision(revision: string): boolean {
    if (this.known.size === 0) return true;
    for (const lease of this.known.values()) if (lease.revision === revision) return true;
    return false;
  }

  /**
   * Unchanged keys keep their object, so that what was parsed of them is found again. The revision alone does not tell: a wiped etcd
   * counts from one again.
   */
  private toLease(kv: IKeyValue): StoredLease {
    const key = this.keyOf(kv);
    const lease: StoredLease = {
      key,
      value: kv.value.length > STORE_VALUE_BYTES_MAX ? '' : kv.value.toString('utf8'),
      isPermanent: kv.lease === NO_LEASE,
      revision: kv.mod_revision,
    };
    const known = this.known.get(key);
    const isSame =
      known?.revision === lease.revision &&
      known.value === lease.value &&
      known.isPermanent === lease.isPermanent;
    return isSame ? known : lease;
  }

  private keyOf({ key }: IKeyValue): string {
    return key.toString().slice(this.folder.length);
  }

  private snapshot(): Snapshot {
    const { known } = this;
    return {
      get leases() {
        return [...known.values()];
      },
    };
  }

  async expiry(key: string): Promise<number | undefined> {
    const { kvs } = await this.session.call((client) =>
      client.kv.range({ key: this.fullKey(key) }),
    );
    const lease = kvs[0]?.lease ?? NO_LEASE;
    if (lease === NO_LEASE) return undefined;
    const { TTL } = await this.session.call((client) =>
      client.leaseClient.leaseTimeToLive({ ID: lease }),
    );
    return Date.now() + Number(TTL) * 1000;
  }

  async create(key: string, value: string, ttlMs: number | undefined): Promise<CreateResult> {
    const isFree = { target: 'Version', result: 'Equal', version: 0 } as const;
    const written = await this.put(key, value, ttlMs, isFree);
    return written === undefined ? 'exists' : 'created';
  }

  async replace(
    key: string,
    value: string,
    ttlMs: number | undefined,
    revision: string,
  ): Promise<ReplaceResult> {
    const isSame = { target: 'Mod', result: 'Equal', mod_revision: revision } as const;
    const written = await this.put(key, value, ttlMs, isSame);
    return written === undefined ? { ok: false } : { ok: true, revision: written };
  }

  /** Puts under a condition, with a fresh etcd lease as flannel does. The key's new revision, or undefined if the condition fails. */
  private async put(
    key: string,
    value: string,
    ttlMs: number | undefined,
    condition: object,
  ): Promise<string | undefined> {
    const lease = ttlMs === undefined ? NO_LEASE : await this.grant(ttlMs);
    const full = this.fullKey(key);
    const request_put = { key: full, value: Buffer.from(value), lease };
    const read: IRequestOp = { request_range: { key: full } };
    const { succeeded, responses, header } = await this.session.call((client) =>
      client.kv.txn({
        compare: [{ key: full, ...condition }],
        success: [{ request_put }],
        failure: [read],
      }),
    );
    if (succeeded) return header.revision;
    // A call whose answer got lost is made again, and then meets what it wrote itself.
    const found = responses[0]?.response_range.kvs[0];
    if (lease !== NO_LEASE && found?.lease === lease) return found.mod_revision;
    if (lease !== NO_LEASE) await this.revoke(lease);
    return undefined;
  }

  private async grant(ttlMs: number): Promise<string> {
    const TTL = Math.ceil(ttlMs / 1000);
    const { ID } = await this.session.call((client) => client.leaseClient.leaseGrant({ TTL }));
    return ID;
  }

  /** Only tidies: an unused lease ends by itself after a day. */
  private async revoke(lease: string): Promise<void> {
    await this.session
      .call((client) => client.leaseClient.leaseRevoke({ ID: lease }))
      .catch(() => undefined);
  }

  async delete(key: string, revision?: string): Promise<boolean> {
    const full = this.fullKey(key);
    const compare: ICompare[] =
      revision === undefined
        ? []
        : [{ key: full, target: 'Mod', result: 'Equal', mod_revision: revision }];
    const { succeeded, responses } = await this.session.call((client) =>
      client.kv.txn({
        compare,
        success: [{ request_delete_range: { key: full } }],
        failure: [{ request_range: { key: full } }],
      }),
    );
    return succeeded || responses[0]?.response_range.kvs.length === 0;
  }

  /** Every answer of its HTTP side has a date. */
  async readClock(): Promise<ClockReading | string> {
    const endpoint = this.endpoints.find((each) => each.startsWith('http:'));
    if (!endpoint) return 'etcd speaks TLS only: its clock is not asked';
    const signal = AbortSignal.timeout(CLOCK_WAIT_MS);
    const answer = await fetch(`${endpoint}/version`, { signal, method: 'HEAD' });
    const date = Date.parse(answer.headers.get('date') ?? '');
    if (Number.isNaN(date)) return 'etcd does not tell its time';
    return { aheadMs: date - Date.now(), by: "etcd's own" };
  }

  async close(): Promise<void> {
    this.session.close();
  }

  private fullKey(key: string): Buffer {
    if (!parseKey(key)) throw new Error(`store: "${key}" is not a lease key`);
    return Buffer.from(`${this.folder}${key}`);
  }
}
