/**
 * From the registry's lists to this node's peers, change by change: list → book → guard → `apply`. A change that can't be applied and a
 * registry that does not answer leave the last peers in force.
 */
import type { NetworkConfig } from '../../cluster/network-config.ts';
import { PeerBook } from '../../cluster/peer-book.ts';
import type { Peer, PeerChange, Skipped } from '../../cluster/peers.ts';
import { type HeldLease, type LeaseList, passes, type Registry } from '../../cluster/registry.ts';
import type { Clock, Timer } from '../../shared/clock.ts';
import { messageOf, WeftError } from '../../shared/errors.ts';
import { type PlainLog, rarely } from '../../shared/repeats.ts';
import type { Log } from '../log/log.ts';
import type { StoreState } from '../node.ts';
import type { Turn } from '../turn.ts';
import { ignoredLeases } from './ignored-leases.ts';
import { StoreHealth } from './store-health.ts';
import { type Guarded, TableGuard } from './table-guard.ts';
import { type Waiting, WaitingLists } from './waiting-lists.ts';

/** The cluster, and which of its leases is ours. */
export interface Scope {
  config: NetworkConfig;
  own: HeldLease;
}

/** Puts changes of this node's peers in force. Each is made once: whoever fails to carry it out catches up on it by himself. */
export type Apply = (changes: readonly PeerChange[]) => Promise<void>;

const AGAIN_MS_MIN = 100;

export class Membership {
  /** how many peers are kept although their leases disappeared */
  held = 0;
  /** how many keys have no lease in them that can be read */
  unreadable = 0;
  /** why the newest list is not in force, '' when it is */
  problem = '';
  /** Rejects when the watch met something that does not pass. */
  readonly failed: Promise<never>;
  readonly counts = { lists: 0, failures: 0 };
  private readonly registry: Registry;
  private readonly log: Log;
  private readonly clock: Clock;
  private readonly guard = new TableGuard();
  private readonly rare: PlainLog;
  private readonly health: StoreHealth;
  private fail: (error: Error) => void = () => undefined;
  private readonly waiting = new WaitingLists();
  private readonly table = new Map<string, Peer>();
  private tableList: readonly Peer[] | undefined;
  private book: PeerBook | undefined;
  /** what was last said to be ignored */
  private ignored: { unreadable: readonly string[]; skipped: readonly Skipped[] } | undefined;
  /** looks at what waits, once {@link follow} was called */
  private hurry: (() => void) | undefined;
  private isHurrying = false;
  private ownIsThere = false;
  private again: Timer | undefined;

  constructor(registry: Registry, log: Log, clock: Clock) {
    this.registry = registry;
    this.log = log;
    this.clock = clock;
    this.rare = rarely(log, clock);
    this.health = new StoreHealth(log, clock);
    this.failed = new Promise((_, reject) => {
      this.fail = reject;
    });
    this.failed.catch(() => undefined); // nobody need listen
  }

  get store(): StoreState {
    return this.health.state;
  }

  /** A call to the registry during the start, which waits and says why: it tells whether the registry answers. */
  async ask<T>(call: () => Promise<T>): Promise<T> {
    try {
      const answer = await call();
      if (this.registry.rememberedAtMs === undefined) this.health.answered();
      return answer;
    } catch (error) {
      if (passes(error)) this.health.note(error);
      throw error;
    }
  }

  /** Who this node sends to, {@link held} included. The same list as long as nothing in it changes. */
  get peers(): readonly Peer[] {
    this.tableList ??= [...this.table.values()];
    return this.tableList;
  }

  /** How many these are: to be asked while they change, which the list is not. */
  get peerCount(): number {
    return this.table.size;
  }

  /** Leases that did not become peers. */
  get skipped(): readonly Skipped[] {
    return this.book?.skipped ?? [];
  }

  /** Keys of other leases that have our own public address. */
  get twins(): readonly string[] {
    return this.book?.twins ?? [];
  }

  /** The peers to start with. */
  begin(list: LeaseList, scope: Scope): readonly Peer[] {
    this.waiting.addOther(list);
    this.settle(scope);
    return this.peers;
  }

  /** After each change of the cluster, in `turn`, until `signal` aborts. */
  follow(scope: Scope, apply: Apply, turn: Turn, signal: AbortSignal): void {
    this.hurry = () => {
      if (this.isHurrying) return;
      this.isHurrying = true;
      void turn.take(() => {
        this.isHurrying = false;
        return this.applyWaiting(scope, apply);
      });
    };
    this.registry.watch(
      (list) => this.heard(() => this.waiting.add(list)),
      (error) => this.unavailable(error),
      signal,
    );
    signal.addEventListener('abort', () => this.again?.stop(), { once: true });
  }

  /** Asks the registry for its list now; it is applied in turn. */
  async look(): Promise<void> {
    const list = await this.registry.list();
    this.heard(() => this.waiting.addOther(list));
  }

  private async applyWaiting(scope: Scope, apply: Apply): Promise<void> {
    try {
      const { changes, againAtMs } = this.settle(scope);
      this.lookAgain(againAtMs);
      if (changes.length > 0) await apply(changes);
      this.problem = '';
      this.log.debug({ peers: this.table.size, changes: changes.length }, 'peers applied');
    } catch (error) {
      this.problem = messageOf(error);
      this.rare.error(`peers not applied: ${this.problem}`);
    }
  }

  /** Leases → peers, with those kept that vanished in doubtful circumstances. Without a list that waits, only the time has gone on. */
  private settle({ config, own }: Scope): Guarded {
    this.book ??= new PeerBook(own.lease, config);
    this.book.setOwn(own.lease);
    const waiting = this.waiting.take();
    const changes = this.changesOf(this.book, waiting);
    if (waiting) this.noteOthers(this.book, waiting.newest);
    const guarded = this.guard.apply(changes, this.ownIsThere, this.clock.monotonicMs());
    if (guarded.held > this.held)
      this.log.warn({ held: guarded.held }, 'leases vanished: their peers are kept for now');
    this.held = guarded.held;
    for (const { id, after } of guarded.changes) {
      if (after) this.table.set(id, after);
      else this.table.delete(id);
    }
    if (guarded.changes.length > 0) this.tableList = undefined;
    return guarded;
  }

  private changesOf(book: PeerBook, waiting: Waiting | undefined): PeerChange[] {
    if (!waiting) return book.update([]);
    const { newest, changes } = waiting;
    return changes ? book.update(changes) : book.replace(newest.leases);
  }

  /** What there is besides peers. */
  private noteOthers({ skipped, twins }: PeerBook, { unreadable, ownIsThere }: LeaseList): void {
    this.ownIsThere = ownIsThere;
    this.unreadable = unreadable.length;
    if (unreadable !== this.ignored?.unreadable || skipped !== this.ignored.skipped) {
      this.ignored = { unreadable, skipped };
      const ignored = ignoredLeases(unreadable, skipped);
      if (ignored) this.rare.warn({ such: ignored.such }, ignored.text);
    }
    const [key] = twins;
    if (key !== undefined)
      this.rare.error(
        { key, count: twins.length },
        'this lease has our public address too, and is not used',
      );
  }

  /** Held peers end by themselves, without a change in the registry. */
  private lookAgain(atMs: number | undefined): void {
    this.again?.stop();
    if (atMs === undefined) return;
    const waitMs = Math.max(AGAIN_MS_MIN, atMs - this.clock.monotonicMs());
    this.again = this.clock.after(waitMs, () => this.hurry?.());
  }

  private heard(note: () => void): void {
    this.counts.lists++;
    this.health.listed();
    note();
    this.hurry?.();
  }

  /** The last table stays in force for as long as the store is unavailable. */
  private unavailable(error: Error): void {
    if (error instanceof WeftError && !passes(error)) {
      this.fail(error);
      return;
    }
    this.counts.failures++;
    this.again?.stop();
    this.guard.storeDoubtful(this.clock.monotonicMs());
    this.health.failed(error);
  }
}
