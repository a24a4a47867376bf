/**
 * When a vanished lease may take its peer away. A store that is being wiped, moved or restored must not cut running traffic:
 *   - a missing peer stays for SETTLE_MS, because a directory is not emptied in one instant;
 *   - if meanwhile our own key vanishes too, the store goes away, or three peers and more than half are missing at once,
 *     the missing peers stay for GRACE_MS.
 * Peers that come back or change are applied at once, and what somebody else has leased now is held for nobody.
 */
import { PrefixIndex } from '../../cluster/lease/prefix-index.ts';
import type { Peer, PeerChange } from '../../cluster/peers.ts';
import { PEERS_MAX } from '../../shared/limits.ts';

export const SETTLE_MS = 3_000;
export const GRACE_MS = 600_000;
const MASS_MIN = 3;

export interface Guarded {
  /** of the table, held peers included; removals first */
  changes: PeerChange[];
  /** how many of its peers are only held */
  held: number;
  /** when to ask again, even without a change, so that held peers end; by the clock of `nowMs` */
  againAtMs?: number;
}

interface Held {
  id: string;
  peer: Peer;
  untilMs: number;
}

export class TableGuard {
  private readonly held = new Map<string, Held>();
  private readonly bySubnet = new PrefixIndex<Held>(({ peer }) => peer.subnet);
  /** how many peers have a lease */
  private present = 0;

  /** `changes` of the peers that have a lease; none where only the time has gone on. `nowMs` by a clock that nobody sets. */
  apply(changes: readonly PeerChange[], ownKeyPresent: boolean, nowMs: number): Guarded {
    const sizeBefore = this.present + this.held.size;
    const gone: PeerChange[] = [];
    const come: PeerChange[] = [];
    for (const { id, before, after } of changes)
      if (before && !after) this.hold({ id, peer: before, untilMs: nowMs + SETTLE_MS });
    for (const change of changes)
      if (change.after) come.push(this.admit(change, change.after, gone));
    const isMass = this.held.size >= MASS_MIN && this.held.size * 2 > sizeBefore;
    if (!ownKeyPresent || isMass) this.storeDoubtful(nowMs);
    for (const entry of this.held.values())
      if (entry.untilMs <= nowMs || this.present + this.held.size > PEERS_MAX)
        this.end(entry, gone);
    const guarded: Guarded = { changes: [...gone, ...come], held: this.held.size };
    if (this.held.size > 0)
      guarded.againAtMs = [...this.held.values()].reduce(
        (least, { untilMs }) => Math.min(least, untilMs),
        Number.POSITIVE_INFINITY,
      );
    return guarded;
  }

  /** The store is away or wiped: what is missing now stays for the grace time. */
  storeDoubtful(nowMs: number): void {
    for (const entry of this.held.values()) {
      if (entry.untilMs > nowMs && entry.untilMs <= nowMs + SETTLE_MS)
        entry.untilMs = nowMs + GRACE_MS;
    }
  }

  private hold(entry: Held): void {
    this.present--;
    this.held.set(entry.id, entry);
    this.bySubnet.add(entry);
  }

  /** A peer that has a lease: what is held for it, or of its subnet for somebody else, is held no more. */
  private admit({ id, before }: PeerChange, after: Peer, gone: PeerChange[]): PeerChange {
    if (!before) this.present++;
    const known = this.held.get(id);
    if (known) this.release(known);
    for (const entry of this.bySubnet.overlapping(after.subnet)) this.end(entry, gone);
    return { id, before: known?.peer ?? before, after };
  }

  private end(entry: Held, gone: PeerChange[]): void {
    this.release(entry);
    gone.push({ id: entry.id, before: entry.peer, after: undefined });
  }

  private release(entry: Held): void {
    this.held.delete(entry.id);
    this.bySubnet.remove(entry);
  }
}
