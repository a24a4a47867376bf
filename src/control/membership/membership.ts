/**
 * From the registry's lists to this node's peers: list → peersOf → guard → `apply`. A list that can't be applied and a registry that
 * does not answer leave the last peers in force.
 */
import type { NetworkConfig } from '../../cluster/network-config.ts';
import { leasesToPeers, type Peer, type Skipped } from '../../cluster/peers.ts';
import { type HeldLease, type LeaseList, passes, type Registry } from '../../cluster/registry.ts';
import type { Clock, Timer } from '../../shared/clock.ts';
import { messageOf, WeftError } from '../../shared/errors.ts';
import { type PlainLog, rarely } from '../../shared/repeats.ts';
import type { Log } from '../log/log.ts';
import type { StoreState } from '../node.ts';
import { NewestInTurn, type Turn } from '../turn.ts';
import { ignoredLeases } from './ignored-leases.ts';
import { StoreHealth } from './store-health.ts';
import { type Guarded, TableGuard } from './table-guard.ts';

/** The cluster, and which of its leases is ours. */
export interface Scope {
  config: NetworkConfig;
  own: HeldLease;
}

/** Puts all peers of this node in force. */
export type Apply = (peers: readonly Peer[]) => Promise<void>;

const AGAIN_MS_MIN = 100;

export class Membership {
  /** who this node sends to, {@link held} included */
  peers: readonly Peer[] = [];
  /** how many of them are kept though their leases vanished */
  held = 0;
  /** leases that did not become peers */
  skipped: readonly Skipped[] = [];
  /** how many keys have no lease in them that can be read */
  unreadable = 0;
  /** keys of other leases that have our own public address */
  twins: readonly string[] = [];
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
  /** lists that wait to be applied, once {@link follow} was called */
  private lists: NewestInTurn<LeaseList> | undefined;
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

  /** The peers to start with. */
  begin(list: LeaseList, scope: Scope): readonly Peer[] {
    return this.peersOf(list, scope).peers;
  }

  /** After each change of the cluster, in `turn`, until `signal` aborts. */
  follow(scope: Scope, apply: Apply, turn: Turn, signal: AbortSignal): void {
    const lists = new NewestInTurn<LeaseList>(turn, (list) =>
      this.applyList(list, scope, apply, () => lists.offerAgain(list)),
    );
    this.lists = lists;
    this.registry.watch(
      (list) => this.heard(list),
      (error) => this.unavailable(error),
      signal,
    );
    signal.addEventListener('abort', () => this.again?.stop(), { once: true });
  }

  /** Asks the registry for its list now; it is applied in turn. */
  async look(): Promise<void> {
    this.heard(await this.registry.list());
  }

  private async applyList(
    list: LeaseList,
    scope: Scope,
    apply: Apply,
    offerAgain: () => void,
  ): Promise<void> {
    try {
      const { peers, againAtMs } = this.peersOf(list, scope);
      this.lookAgain(againAtMs, offerAgain);
      await apply(peers);
      this.problem = '';
      this.log.debug({ peers: peers.length }, 'peers applied');
    } catch (error) {
      this.problem = messageOf(error);
      this.rare.error(`peers not applied: ${this.problem}`);
    }
  }

  /** Leases → peers, with those kept that vanished in doubtful circumstances. */
  private peersOf(list: LeaseList, { config, own }: Scope): Guarded {
    const { peers, skipped, twins } = leasesToPeers(list.leases, own.lease, config);
    this.skipped = skipped;
    this.twins = twins;
    this.unreadable = list.unreadable.length;
    const ignored = ignoredLeases(list.unreadable, skipped);
    if (ignored) this.rare.warn({ such: ignored.such }, ignored.text);
    const [key] = twins;
    if (key !== undefined)
      this.rare.error(
        { key, count: twins.length },
        'this lease has our public address too, and is not used',
      );
    const guarded = this.guard.apply(peers, list.ownIsThere, this.clock.nowMs());
    if (guarded.held > this.held)
      this.log.warn({ held: guarded.held }, 'leases vanished: their peers are kept for now');
    this.peers = guarded.peers;
    this.held = guarded.held;
    return guarded;
  }

  /** Held peers end by themselves, without a change in the registry. */
  private lookAgain(atMs: number | undefined, offerAgain: () => void): void {
    this.again?.stop();
    if (atMs === undefined) return;
    const waitMs = Math.max(AGAIN_MS_MIN, atMs - this.clock.nowMs());
    this.again = this.clock.after(waitMs, offerAgain);
  }

  private heard(list: LeaseList): void {
    this.counts.lists++;
    this.health.listed();
    this.lists?.offer(list);
  }

  /** The last table stays in force for as long as the store is unavailable. */
  private unavailable(error: Error): void {
    if (error instanceof WeftError && !passes(error)) {
      this.fail(error);
      return;
    }
    this.counts.failures++;
    this.again?.stop();
    this.guard.storeDoubtful(this.clock.nowMs());
    this.health.failed(error);
  }
}
