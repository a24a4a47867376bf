/**
 * Keeping the lease: renewal before expiry with a compare, and what to do when the key was lost or taken. A failing store is an
 * alarm, never a reason to stop forwarding.
 */
import { messageOf } from '../../shared/errors.ts';
import type { Log } from '../log.ts';
import type { Snapshot, Store } from '../store/store.ts';
import { isOwnAddress, LEASE_TTL_MS, parseLeases } from './acquire.ts';
import type { Lease } from './lease.ts';
import { encodeValue } from './value.ts';

const RETRY_MS = 60_000;
/** setTimeout's longest delay is about 24.8 days; ours is at most a day. */
const CHECK_MS_MIN = 1_000;

export class LeaseKeeper {
  lease: Lease;
  private readonly store: Store;
  private readonly marginMs: number;
  private readonly log: Log;
  private timer: NodeJS.Timeout | undefined;
  private restoring = false;
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

  /** Whether our key is in this snapshot. Notices a foreign value, and puts a lost key back. */
  observe(snapshot: Snapshot): boolean {
    const current = parseLeases(snapshot).find((lease) => lease.key === this.lease.key);
    if (!current) {
      void this.restore();
      return false;
    }
    if (!isOwnAddress(this.lease.attributes, current.attributes)) {
      this.log.error(
        { key: current.key },
        'another node wrote its address into our lease: two nodes want one subnet',
      );
      return false;
    }
    this.lease = { ...current, attributes: this.lease.attributes };
    return true;
  }

  /** Takes the same subnet back if it is still free. */
  private async restore(): Promise<void> {
    if (this.restoring || this.stopped) return;
    this.restoring = true;
    const ttlMs = this.lease.expiresAtMs === undefined ? undefined : LEASE_TTL_MS;
    try {
      const result = await this.store.create(
        this.lease.key,
        encodeValue(this.lease.attributes),
        ttlMs,
      );
      if (result === 'created')
        this.log.warn({ key: this.lease.key }, 'our lease was gone from the store; put it back');
    } catch (error) {
      this.log.error(`our lease is gone and can't be put back: ${messageOf(error)}`);
    } finally {
      this.restoring = false;
    }
  }

  private schedule(): void {
    if (this.stopped || this.lease.expiresAtMs === undefined) return;
    const waitMs = Math.max(CHECK_MS_MIN, this.lease.expiresAtMs - this.marginMs - Date.now());
    this.timer = setTimeout(() => void this.renew(), waitMs);
  }

  private async renew(): Promise<void> {
    const { lease, store } = this;
    try {
      const result = await store.replace(
        lease.key,
        encodeValue(lease.attributes),
        LEASE_TTL_MS,
        lease.revision,
      );
      if (!result.ok) throw new Error('the key changed meanwhile');
      this.lease = { ...lease, revision: result.revision, expiresAtMs: Date.now() + LEASE_TTL_MS };
      this.log.info({ key: lease.key }, 'lease renewed');
      this.schedule();
    } catch (error) {
      this.log.error(`lease not renewed, trying again in a minute: ${messageOf(error)}`);
      if (!this.stopped) this.timer = setTimeout(() => void this.renew(), RETRY_MS);
    }
  }
}
