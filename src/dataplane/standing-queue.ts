/**
 * A queue that bulk TCP keeps full although it gains little by it: a TUN, or a socket, that a worker does not read empty for a while.
 * Whoever else has packets in it waits for all of them. So bulk flows are told to slow down, one packet at a time and sooner and sooner
 * until the queue was empty once: CoDel (RFC 8289), with "read empty" in the place of its clock, because a TUN does not say when a packet
 * came. Only while somebody else is there: among themselves bulk flows lose nothing by a long queue, and go faster with it.
 */
import { WORD } from '../memory/worker-task.ts';
import { type IpHeader, PROTOCOL, symmetricFlowHash } from '../wire/ip.ts';
import { isPureAck } from '../wire/transport.ts';
import { RecentFlows } from './recent-flows.ts';

/** So long must a queue stand before the first sign. Shorter costs more of the rate, longer lets it stand (docs/performance). */
const INTERVAL_MS = 20;
/** A queue that stands again this soon goes on nearly where the signs ended. */
const RECENT_MS = 16 * INTERVAL_MS;
/** Somebody else is there: so many small packets a second, while the queue stands. */
const INTERACTIVE_PER_SECOND = 5;
const WINDOW_MS = 1_000;
/** Packets that make a flow a bulk flow are at least as long. */
const BULK_BYTES_MIN = 1_000;

/** One direction of one link. Times are of the worker's clock, which wraps: they are compared by their difference. */
export class StandingQueue {
  private readonly control: Int32Array;
  /** a bulk flow has small packets too: the end of what was written at once */
  private readonly bulkFlows = new RecentFlows(WINDOW_MS);
  private isStanding = false;
  private isSigning = false;
  private isOwed = false;
  /** when the first sign is due, or the next one */
  private dueMs = 0;
  /** given in a row: the next one is due after INTERVAL_MS / sqrt(signs) */
  private signs = 0;
  private windowMs = 0;
  private interactive = 0;
  private interactiveBefore = 0;

  constructor(control: Int32Array) {
    this.control = control;
  }

  /** A batch was read. `isEmpty`: it was all there was. */
  read(isEmpty: boolean): void {
    const nowMs = this.control[WORD.clockMs] as number;
    if (isEmpty) {
      this.isStanding = this.isSigning = this.isOwed = false;
      return;
    }
    if (!this.isStanding) {
      this.isStanding = true;
      if (((nowMs - this.dueMs) | 0) > RECENT_MS) this.signs = 0;
      this.dueMs = (nowMs + INTERVAL_MS) | 0;
    }
    this.isOwed = ((nowMs - this.dueMs) | 0) >= 0 && this.isShared(nowMs);
  }

  /** A packet that goes on. */
  meet(view: DataView, at: number, header: IpHeader): void {
    if (!this.isStanding) return;
    const nowMs = this.control[WORD.clockMs] as number;
    const isLong = header.totalBytes >= BULK_BYTES_MIN;
    if (header.protocol === PROTOCOL.tcp) {
      if (isPureAck(view, at, header)) return;
      const hash = symmetricFlowHash(view, at, header);
      if (isLong) this.bulkFlows.note(hash, nowMs);
      else if (this.bulkFlows.has(hash, nowMs)) return;
    }
    if (isLong) return;
    this.turnWindow(nowMs);
    this.interactive++;
  }

  /** Whether this packet's sender should be told; whoever does it says so by {@link signed}. */
  wants(header: IpHeader): boolean {
    return this.isOwed && header.protocol === PROTOCOL.tcp && header.totalBytes >= BULK_BYTES_MIN;
  }

  signed(): void {
    // The first sign of a stand that follows another begins a little below that one's pace (RFC 8289 section 5.5).
    if (this.isSigning || this.signs === 0) this.signs++;
    else this.signs = Math.max(1, this.signs - 2);
    this.isSigning = true;
    this.isOwed = false;
    const waitMs = Math.max(1, Math.round(INTERVAL_MS / Math.sqrt(this.signs)));
    this.dueMs = ((this.control[WORD.clockMs] as number) + waitMs) | 0;
  }

  private isShared(nowMs: number): boolean {
    this.turnWindow(nowMs);
    return Math.max(this.interactive, this.interactiveBefore) >= INTERACTIVE_PER_SECOND;
  }

  private turnWindow(nowMs: number): void {
    const sinceMs = (nowMs - this.windowMs) | 0;
    if (sinceMs >= 0 && sinceMs < WINDOW_MS) return;
    const follows = sinceMs >= 0 && sinceMs < 2 * WINDOW_MS;
    this.interactiveBefore = follows ? this.interactive : 0;
    this.interactive = 0;
    this.windowMs = nowMs;
  }
}
