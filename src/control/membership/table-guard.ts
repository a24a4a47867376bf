/**
 * When a vanished lease may take its peer away. A store that is being wiped, moved or restored must not cut running traffic:
 *   - a missing peer stays for SETTLE_MS, because a directory is not emptied in one instant;
 *   - if meanwhile our own key vanishes too, the store goes away, or three peers and more than half are missing at once,
 *     the missing peers stay for GRACE_MS.
 * Peers that come back or change are applied at once.
 */
import type { Peer } from '../../cluster/peers.ts';

export const SETTLE_MS = 3_000;
export const GRACE_MS = 600_000;
const MASS_MIN = 3;

export interface Guarded {
  peers: Peer[];
  /** how many of them are only held */
  held: number;
  /** when to apply the same list again so that held peers end, ms since the epoch */
  againAtMs?: number;
}

export class TableGuard {
  private readonly held = new Map<string, { peer: Peer; untilMs: number }>();
  private previous: readonly Peer[] = [];

  apply(peers: readonly Peer[], ownKeyPresent: boolean, nowMs: number): Guarded {
    const present = new Set(peers.map(idOf));
    for (const peer of this.previous) {
      const id = idOf(peer);
      if (!present.has(id) && !this.held.has(id))
        this.held.set(id, { peer, untilMs: nowMs + SETTLE_MS });
    }
    for (const id of present) this.held.delete(id);
    const isMass = this.held.size >= MASS_MIN && this.held.size * 2 > this.previous.length;
    if (!ownKeyPresent || isMass) this.storeDoubtful(nowMs);
    for (const [id, entry] of this.held) if (entry.untilMs <= nowMs) this.held.delete(id);
    const kept = [...this.held.values()];
    this.previous = [...peers, ...kept.map((entry) => entry.peer)];
    const guarded: Guarded = { peers: [...this.previous], held: kept.length };
    if (kept.length > 0) guarded.againAtMs = Math.min(...kept.map((entry) => entry.untilMs));
    return guarded;
  }

  /** The store is away or wiped: what is missing now stays for the grace time. */
  storeDoubtful(nowMs: number): void {
    for (const entry of this.held.values()) {
      if (entry.untilMs > nowMs && entry.untilMs <= nowMs + SETTLE_MS)
        entry.untilMs = nowMs + GRACE_MS;
    }
  }
}

function idOf(peer: Peer): string {
  return `${peer.family} ${peer.key}`;
}
