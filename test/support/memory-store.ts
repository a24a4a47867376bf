/** A key-value store in memory, with times to live by a clock that the test moves (fake store). */
import type {
  CreateResult,
  ReplaceResult,
  Snapshot,
  Store,
  StoredLease,
} from '../../src/cluster/store/store.ts';
import type { FakeClock } from './fake-clock.ts';

interface Entry extends StoredLease {
  endsAtMs: number | undefined;
}

export class MemoryStore implements Store {
  readonly name = 'memory';
  readonly configPlace = 'the test';
  /** thrown by every call while it is set */
  failure: Error | undefined;
  private readonly clock: FakeClock;
  private readonly entries = new Map<string, Entry>();
  private writes = 0;
  private onSnapshot: ((snapshot: Snapshot) => void) | undefined;

  constructor(clock: FakeClock) {
    this.clock = clock;
  }

  async readConfig(): Promise<string | undefined> {
    return undefined;
  }

  async list(): Promise<Snapshot> {
    await this.answer();
    return this.snapshot();
  }

  watch(onSnapshot: (snapshot: Snapshot) => void): void {
    this.onSnapshot = onSnapshot;
  }

  async expiry(key: string): Promise<number | undefined> {
    await this.answer();
    return this.live(key)?.endsAtMs;
  }

  async create(key: string, value: string, ttlMs: number | undefined): Promise<CreateResult> {
    await this.answer();
    if (this.live(key)) return 'exists';
    this.write(key, value, ttlMs);
    return 'created';
  }

  async replace(
    key: string,
    value: string,
    ttlMs: number | undefined,
    revision: string,
  ): Promise<ReplaceResult> {
    await this.answer();
    if (this.live(key)?.revision !== revision) return { ok: false };
    return { ok: true, revision: this.write(key, value, ttlMs) };
  }

  async delete(key: string): Promise<boolean> {
    await this.answer();
    this.entries.delete(key);
    this.deliver();
    return true;
  }

  async readClock(): Promise<string> {
    return 'it is the test that moves it';
  }

  async close(): Promise<void> {
    // nothing is open
  }

  /** What others write, past every rule; undefined = the key is gone. */
  overwrite(key: string, value: string | undefined): void {
    if (value === undefined) this.entries.delete(key);
    else this.write(key, value, undefined);
    this.deliver();
  }

  value(key: string): string | undefined {
    return this.live(key)?.value;
  }

  deliver(): void {
    this.onSnapshot?.(this.snapshot());
  }

  /** An answer never comes in the moment of the call. */
  private async answer(): Promise<void> {
    await undefined;
    if (this.failure) throw this.failure;
  }

  private live(key: string): Entry | undefined {
    const entry = this.entries.get(key);
    return (entry?.endsAtMs ?? Number.POSITIVE_INFINITY) > this.clock.nowMs() ? entry : undefined;
  }

  private write(key: string, value: string, ttlMs: number | undefined): string {
    const revision = String(++this.writes);
    const endsAtMs = ttlMs === undefined ? undefined : this.clock.nowMs() + ttlMs;
    this.entries.set(key, { key, value, revision, isPermanent: ttlMs === undefined, endsAtMs });
    this.deliver();
    return revision;
  }

  private snapshot(): Snapshot {
    const leases = [...this.entries.keys()].flatMap((key) => this.live(key) ?? []);
    return { leases };
  }
}
