/**
 * Everything in one collection, kept up to date: a list, then a watch from its version. Correctness never rests on single events: when
 * anything is amiss (the server forgot the version, is of an earlier state, says what is no event) all is listed anew, and what is gone
 * is found by comparison.
 */
import { isDeepStrictEqual } from 'node:util';
import { type Clock, systemClock } from '../../shared/clock.ts';
import { Pace } from '../../shared/pace.ts';
import type { KubernetesClient } from './client.ts';
import { KubernetesError } from './failure.ts';
import { isGone, listObjects, withQuery } from './list.ts';
import { isOlder, type KubernetesObject, type ObjectList } from './object.ts';
import { type WatchEvent, watchOnce } from './watch-stream.ts';

/** What differs from the report before; made when it is delivered. */
export interface Report<T> {
  /** everything that there is now, by name: live, not a copy */
  readonly records: ReadonlyMap<string, T>;
  /** what differs since the report before, by name; undefined is gone. One that did not change is the same object for ever */
  readonly changes: ReadonlyMap<string, T | undefined>;
  /** The first report, and the first after an error: `changes` hold all records, and undefined for each that is gone. */
  readonly isWhole: boolean;
}

export interface CollectionWish<T> {
  /** "/api/v1/nodes", perhaps with a query */
  path: string;
  /**
   * What is kept of an object: small, plain data without anything that changes for nothing (no resourceVersion: a kubelet's heartbeat
   * changes that). undefined: this object is nobody's business.
   */
  reduce(object: KubernetesObject): T | undefined;
  /** At once after a quiet time, else at most every {@link Timing.deliveryMs}. */
  onReport(report: Report<T>): void;
  /** Each time the server does not answer or refuses us; a report follows when it answers again. */
  onError(error: Error): void;
  /** Whether a change of this name must be reported without waiting. */
  isUrgent?(name: string): boolean;
}

export interface Timing {
  deliveryMs: number;
  /** of one watch, about; the next one follows at once */
  watchS: number;
  /** A server normally sends a bookmark every 60 s, but does not promise it: silence means another look, and is no error. */
  silenceMs: number;
  backoffMsMin: number;
  /** between tries of a server that answers, but not as it should */
  backoffMsMax: number;
  /** of one that is away or has just started: to ask costs nobody anything, and nodes may have come meanwhile */
  awayMsMax: number;
}

export const TIMING: Timing = {
  deliveryMs: 100,
  watchS: 300,
  silenceMs: 75_000,
  backoffMsMin: 100,
  backoffMsMax: 10_000,
  awayMsMax: 1_000,
};

export class CollectionWatch<T> {
  private readonly client: KubernetesClient;
  private readonly wish: CollectionWish<T>;
  private readonly timing: Timing;
  private readonly clock: Clock;
  private readonly pace: Pace;
  private readonly records = new Map<string, T>();
  private changes = new Map<string, T | undefined>();
  /** Nothing was reported yet, or an error after it. */
  private isAway = true;
  /** of the newest event; undefined: all must be listed */
  private version: string | undefined;

  constructor(
    client: KubernetesClient,
    wish: CollectionWish<T>,
    timing: Timing = TIMING,
    clock: Clock = systemClock,
  ) {
    this.client = client;
    this.wish = wish;
    this.timing = timing;
    this.clock = clock;
    this.pace = new Pace(clock, timing.deliveryMs, () => this.report());
  }

  /** Resolves soon after the signal aborts, and leaves no connection and no timer behind; never rejects. Once. */
  async run(signal: AbortSignal): Promise<void> {
    const { backoffMsMin, backoffMsMax, awayMsMax } = this.timing;
    signal.addEventListener('abort', () => this.pace.stop(), { once: true });
    let backoffMs = backoffMsMin;
    while (!signal.aborted) {
      const startedAtMs = this.clock.monotonicMs();
      const failure = await this.follow(signal).catch((error: unknown) => {
        this.fail(error, signal);
        return error;
      });
      const tookMs = this.clock.monotonicMs() - startedAtMs;
      if (tookMs > backoffMsMax) backoffMs = backoffMsMin;
      // With others the same happened at the same moment.
      const waitMs = backoffMs * (0.5 + Math.random() / 2);
      await this.clock.sleep(waitMs, signal).catch(() => undefined);
      backoffMs = Math.min(isAway(failure) ? awayMsMax : backoffMsMax, backoffMs * 2);
    }
    this.pace.stop();
  }

  /** One watch to its end, behind a list where one is needed. */
  private async follow(signal: AbortSignal): Promise<void> {
    if (this.version !== undefined && (await this.isBehindUs(signal))) this.version = undefined;
    this.version ??= await this.list(signal);
    let isOpen = false;
    const wish = {
      path: this.wish.path,
      version: this.version,
      timeoutS: Math.ceil(this.timing.watchS * (0.9 + Math.random() / 5)),
      silenceMs: this.timing.silenceMs,
      onOpen: () => {
        isOpen = true;
        this.answered();
      },
      onEvent: (event: WatchEvent) => this.take(event),
    };
    try {
      // From a version that it does not have yet, a server watches in silence for ever.
      if ((await watchOnce(this.client, wish, signal)) === 'silent') this.version = undefined;
    } catch (error) {
      // A server that does not answer may go on from this version later.
      if (isOpen || isGone(error)) this.version = undefined;
      throw error;
    }
  }

  /** Whether the server's state is from before ours: etcd was restored from a backup. One object costs nobody anything. */
  private async isBehindUs(signal: AbortSignal): Promise<boolean> {
    const path = withQuery(this.wish.path, { limit: 1 });
    const { metadata } = await this.client.get<ObjectList>(path, signal);
    return isOlder(metadata?.resourceVersion ?? '', this.version as string);
  }

  private async list(signal: AbortSignal): Promise<string> {
    const now = new Map<string, T>();
    const version = await listObjects(
      this.client,
      this.wish.path,
      () => now.clear(),
      (object) => {
        const record = this.wish.reduce(object);
        if (record !== undefined) now.set(this.nameOf(object), record);
      },
      signal,
    );
    for (const name of this.records.keys()) if (!now.has(name)) this.set(name, undefined);
    for (const [name, record] of now) this.set(name, record);
    this.answered();
    return version;
  }

  private take({ type, object }: WatchEvent): void {
    const version = object.metadata?.resourceVersion;
    if (typeof version === 'string') this.version = version;
    if (type === 'BOOKMARK') return;
    this.set(this.nameOf(object), type === 'DELETED' ? undefined : this.wish.reduce(object));
  }

  private nameOf({ metadata }: KubernetesObject): string {
    if (typeof metadata?.name === 'string') return metadata.name;
    throw new KubernetesError(
      'unavailable',
      `${this.client.name}: an object of ${this.wish.path} has no name`,
    );
  }

  private set(name: string, record: T | undefined): void {
    if (isDeepStrictEqual(this.records.get(name), record)) return;
    if (record === undefined) this.records.delete(name);
    else this.records.set(name, record);
    this.changes.set(name, record);
    if (this.isAway) return; // a whole report comes
    if (this.wish.isUrgent?.(name)) this.pace.hurry();
    else this.pace.hear();
  }

  private answered(): void {
    if (this.isAway) this.pace.hurry();
  }

  private report(): void {
    const { records, changes, isAway: isWhole } = this;
    if (isWhole) for (const [name, record] of records) changes.set(name, record);
    this.changes = new Map();
    this.isAway = false;
    this.wish.onReport({ records, changes, isWhole });
  }

  private fail(error: unknown, signal: AbortSignal): void {
    if (signal.aborted || isGone(error)) return;
    this.pace.stop(); // what is known by now is older than the failure
    this.isAway = true;
    this.wish.onError(error as Error);
  }
}

/** No answer, or the refusal of everybody in a server's first second. */
function isAway(error: unknown): boolean {
  if (!(error instanceof KubernetesError) || error.kind !== 'unavailable') return false;
  return error.status === undefined || error.status === 403;
}
