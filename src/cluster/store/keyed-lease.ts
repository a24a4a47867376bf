/**
 * Keeping the lease: renewal before expiry with a compare, and what to do when the key was lost or taken. A failing store is an
 * alarm, never a reason to stop forwarding.
 */

import type { Clock, Timer } from '../../shared/clock.ts';
import { messageOf } from '../../shared/errors.ts';
import { type PlainLog, rarely } from '../../shared/repeats.ts';
import { isOwnAddress, LEASE_TTL_MS, parseLeases } from '../lease/acquire.ts';
import { isTaken } from '../lease/allocate.ts';
import type { Lease, LeaseAttributes } from '../lease/lease.ts';
import { encodeValue } from '../lease/value.ts';
import type { HeldLease, LeaseState } from '../registry.ts';
import type { Store } from './store.ts';

const RETRY_MS = 60_000;
/** A lease that is lost may be taken by another node at any moment. */
const RESTORE_AGAIN_MS = 5_000;
const CHECK_MS_MIN = 1_000;

/** What keeping a lease needs besides the store. */
export interface KeyedOptions {
  /** how long before its end the lease is renewed */
  renewMarginMs: number;
  log: PlainLog;
  clock: Clock;
}

/** The lease of a key-value store: one key with a time to live, written with a compare. */
export class KeyedLease implements HeldLease {
  lease: Lease;
  state: LeaseState = 'held';
  readonly renewals = { ok: 0, failed: 0 };
  private readonly store: Store;
  private readonly marginMs: number;
  private readonly clock: Clock;
  private readonly log: PlainLog;
  private readonly rare: PlainLog;
  /** what we published before a move: lists that are under way may still say it */
  private former: LeaseAttributes | undefined;
  private timer: Timer | undefined;
  /** one writer at a time: a write that meets another of ours would look like a foreign one */
  private writing = false;
  private stopped = false;

  /** The lease has just been written. */
  constructor(store: Store, lease: Lease, { renewMarginMs, log, clock }: KeyedOptions) {
    this.store = store;
    this.lease = lease;
    this.marginMs = renewMarginMs;
    this.clock = clock;
    this.log = log;
    this.rare = rarely(log, clock);
    this.schedule();
  }

  stop(): void {
    this.stopped = true;
    this.timer?.stop();
  }

  /** Whether our key is among these leases with our value. Puts a lost key back, and catches up on a renewal that is due. */
  observe(leases: readonly Lease[]): boolean {
    return this.see(
      leases.find((lease) => lease.key === this.lease.key),
      () => leases,
    );
  }

  /** The same, by what our key has now; all leases are asked for only when it is not there. */
  see(current: Lease | undefined, all: () => readonly Lease[]): boolean {
    if (!current) {
      const others = all().filter(
        (lease) => !isOwnAddress(this.lease.attributes, lease.attributes),
      );
      if (isTaken(this.lease, others)) this.alarm('another node leased addresses of our subnet');
      else void this.restore();
      return false;
    }
    const isNewest = sameAttributes(current.attributes, this.lease.attributes);
    if (!isNewest && !(this.former && sameAttributes(current.attributes, this.former))) {
      this.alarm(foreignValue(current, this.lease));
      return false;
    }
    this.state = 'held';
    this.adopt(current);
    if (!isNewest || this.renewalIsDue()) void this.renew();
    return true;
  }

  /** Publishes other attributes under the same key, because the underlay's address changed. Tried again until it succeeds. */
  async publish(attributes: LeaseAttributes): Promise<void> {
    this.former = this.lease.attributes;
    this.lease = { ...this.lease, attributes };
    await this.renew();
  }

  private alarm(message: string): void {
    this.state = 'taken';
    this.say('error', message);
  }

  /** The same again only after a while. */
  private say(level: 'warn' | 'error', message: string): void {
    this.rare[level]({ key: this.lease.key }, message);
  }

  /** Takes over revision and expiry, also of a rewrite by other hands. */
  private adopt(current: Lease): void {
    const { attributes, revision, expiresAtMs } = this.lease;
    if (current.revision === revision) return;
    const known = current.expiresAtMs ?? expiresAtMs;
    this.lease = { ...current, attributes };
    if (!current.isPermanent && known !== undefined) this.lease.expiresAtMs = known;
    if (!this.writing && !current.isPermanent && current.expiresAtMs === undefined)
      void this.refreshExpiry();
  }

  private async refreshExpiry(): Promise<void> {
    try {
      const expiresAtMs = await this.store.expiry(this.lease.key);
      if (expiresAtMs !== undefined) this.lease = { ...this.lease, expiresAtMs };
      this.schedule();
    } catch (error) {
      this.say('warn', `expiry of our lease not known: ${messageOf(error)}`);
    }
  }

  /** Takes the same subnet back if it is still free. */
  private async restore(): Promise<void> {
    if (this.writing || this.stopped) return;
    this.state = 'lost';
    this.writing = true;
    const { key, attributes, isPermanent } = this.lease;
    try {
      const ttlMs = isPermanent ? undefined : LEASE_TTL_MS;
      const result = await this.store.create(key, encodeValue(attributes), ttlMs);
      if (result === 'exists') return;
      if (!isPermanent)
        this.lease = { ...this.lease, expiresAtMs: this.clock.nowMs() + LEASE_TTL_MS };
      this.log.warn({ key }, 'our lease was gone from the store; restored it');
      this.schedule();
    } catch (error) {
      this.say('error', `our lease is gone and can't be put back yet: ${messageOf(error)}`);
      this.timer?.stop();
      if (!this.stopped)
        this.timer = this.clock.after(RESTORE_AGAIN_MS, () => void this.lookAgain());
    } finally {
      this.writing = false;
    }
  }

  /** A store that could not be written need not change when it can: no list would come by itself. */
  private async lookAgain(): Promise<void> {
    try {
      this.observe(parseLeases(await this.store.list()));
    } catch (error) {
      this.say('error', `our lease is gone and the store does not answer: ${messageOf(error)}`);
      if (!this.stopped)
        this.timer = this.clock.after(RESTORE_AGAIN_MS, () => void this.lookAgain());
    }
  }

  private renewalIsDue(): boolean {
    const { expiresAtMs } = this.lease;
    return expiresAtMs !== undefined && this.clock.nowMs() >= expiresAtMs - this.marginMs;
  }

  private schedule(): void {
    this.timer?.stop();
    const { expiresAtMs } = this.lease;
    if (this.stopped || expiresAtMs === undefined) return;
    const waitMs = Math.max(CHECK_MS_MIN, expiresAtMs - this.marginMs - this.clock.nowMs());
    this.timer = this.clock.after(waitMs, () => void this.renew());
  }

  private async renew(): Promise<void> {
    if (this.writing || this.stopped) return;
    this.writing = true;
    const { lease } = this;
    try {
      const ttlMs = lease.isPermanent ? undefined : LEASE_TTL_MS;
      const value = encodeValue(lease.attributes);
      const result = await this.store.replace(lease.key, value, ttlMs, lease.revision);
      if (!result.ok) throw new Error('the key changed meanwhile');
      this.lease = { ...this.lease, revision: result.revision };
      if (ttlMs !== undefined) this.lease.expiresAtMs = this.clock.nowMs() + ttlMs;
      this.renewals.ok++;
      this.log.info({ key: lease.key }, 'lease renewed');
      this.schedule();
    } catch (error) {
      this.renewals.failed++;
      this.say('error', `lease not renewed, trying again every minute: ${messageOf(error)}`);
      this.timer?.stop();
      if (!this.stopped) this.timer = this.clock.after(RETRY_MS, () => void this.renew());
    } finally {
      this.writing = false;
    }
  }
}

function sameAttributes(a: LeaseAttributes, b: LeaseAttributes): boolean {
  return encodeValue(a) === encodeValue(b);
}

function foreignValue(current: Lease, own: Lease): string {
  return isOwnAddress(own.attributes, current.attributes)
    ? 'another daemon with our public address rewrote our lease: two nodes have one address; give each its own --public-ip'
    : 'another node wrote its address into our lease: two nodes want one subnet';
}
