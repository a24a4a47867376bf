/**
 * Keeping the lease: renewal before expiry with a compare, and what to do when the key was lost or taken. A failing store is an
 * alarm, never a reason to stop forwarding.
 */

import { isOwnAddress, LEASE_TTL_MS } from '../../cluster/lease/acquire.ts';
import { isTaken } from '../../cluster/lease/allocate.ts';
import type { Lease, LeaseAttributes } from '../../cluster/lease/lease.ts';
import { encodeValue } from '../../cluster/lease/value.ts';
import type { HeldLease, LeaseState } from '../../cluster/registry.ts';
import type { Store } from '../../cluster/store/store.ts';
import { messageOf } from '../../shared/errors.ts';
import { type Log, RepeatFilter } from '../log/log.ts';

const RETRY_MS = 60_000;
const CHECK_MS_MIN = 1_000;

export class LeaseKeeper implements HeldLease {
  lease: Lease;
  state: LeaseState = 'held';
  readonly renewals = { ok: 0, failed: 0 };
  private readonly store: Store;
  private readonly marginMs: number;
  private readonly log: Log;
  private readonly repeats = new RepeatFilter();
  /** what we published before a move: lists that are under way may still say it */
  private former: LeaseAttributes | undefined;
  private timer: NodeJS.Timeout | undefined;
  /** one writer at a time: a write that meets another of ours would look like a foreign one */
  private writing = false;
  private stopped = false;

  constructor(store: Store, lease: Lease, marginMs: number, log: Log) {
    this.store = store;
    this.lease = lease;
    this.marginMs = marginMs;
    this.log = log;
    this.schedule();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  /** Whether our key is among these leases with our value. Puts a lost key back, and catches up on a renewal that is due. */
  observe(leases: readonly Lease[]): boolean {
    const current = leases.find((lease) => lease.key === this.lease.key);
    if (!current) {
      const others = leases.filter(
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
    if (this.repeats.isNew(message)) this.log[level]({ key: this.lease.key }, message);
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
      if (!isPermanent) this.lease = { ...this.lease, expiresAtMs: Date.now() + LEASE_TTL_MS };
      this.log.warn({ key }, 'our lease was gone from the store; put it back');
      this.schedule();
    } catch (error) {
      this.say('error', `our lease is gone and can't be put back: ${messageOf(error)}`);
    } finally {
      this.writing = false;
    }
  }

  private renewalIsDue(): boolean {
    const { expiresAtMs } = this.lease;
    return expiresAtMs !== undefined && Date.now() >= expiresAtMs - this.marginMs;
  }

  private schedule(): void {
    clearTimeout(this.timer);
    const { expiresAtMs } = this.lease;
    if (this.stopped || expiresAtMs === undefined) return;
    const waitMs = Math.max(CHECK_MS_MIN, expiresAtMs - this.marginMs - Date.now());
    this.timer = setTimeout(() => void this.renew(), waitMs);
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
      if (ttlMs !== undefined) this.lease.expiresAtMs = Date.now() + ttlMs;
      this.renewals.ok++;
      this.log.info({ key: lease.key }, 'lease renewed');
      this.schedule();
    } catch (error) {
      this.renewals.failed++;
      this.say('error', `lease not renewed, trying again every minute: ${messageOf(error)}`);
      clearTimeout(this.timer);
      if (!this.stopped) this.timer = setTimeout(() => void this.renew(), RETRY_MS);
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
