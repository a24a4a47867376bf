/**
 * A queue that bulk TCP keeps full although it gains little by it: a TUN, or a socket, that a worker does not read empty for a while.
 * Whoever else has packets in it waits for all of them. So bulk flows are told to slow down, one packet at a time and sooner and sooner
 * until the queue was empty once: CoDel (RFC 8289), with "read empty" in the place of its clock, because a TUN does not say when a packet
 * came. Only while somebody else is there: among themselves bulk flows lose nothing by a long queue, and go faster with it.
 */
import { FEATURE } from '../memory/layout.ts';
import { type LinkTask, WORD } from '../memory/worker-task.ts';
import type { Words } from '../shared/address.ts';
import { type IpHeader, PROTOCOL, symmetricFlowHash } from '../wire/ip.ts';
import { isPureAck } from '../wire/transport.ts';
import { isOwnEcho } from './own-echo.ts';
import { RecentFlows } from './recent-flows.ts';

/** So long is a queue not read empty before the first sign. Shorter costs more of the rate, longer lets it stand (ADR 18). */
const INTERVAL_MS = 20;
/** Signs of a stand that follows another this soon begin at the pace that the other one needed. */
const RECENT_MS = 16 * INTERVAL_MS;
/** Somebody else is there: so many small packets a second, while the queue is not empty. */
const INTERACTIVE_PER_SECOND = 5;
const WINDOW_MS = 1_000;
/** Packets that make a flow a bulk flow are at least as long. */
const BULK_BYTES_MIN = 1_000;

/** One direction of one link. Times are of the worker's clock, which wraps: they are compared by their difference. */
export class StandingQueue {
  private readonly control: Int32Array;
  private readonly device: Words;
  /** a bulk flow has small packets too: the end of what was written at once */
  private readonly bulkFlows = new RecentFlows(WINDOW_MS);
  /** the last batch was not all there was */
  private isFilled = false;
  private isSigning = false;
  private isOwed = false;
  /** when the first sign is due, or the next one */
  private dueMs = 0;
  /** the next sign is due after INTERVAL_MS / sqrt(signs) */
  private signs = 0;
  /** with how many this stand began, or the last one that had any */
  private signsFirst = 0;
  /** of the batch in hand, in long TCP packets */
  private bulkBytes = 0;
  private windowMs = 0;
  private interactive = 0;
  private interactiveBefore = 0;

  /** For a link; undefined where its queues may stand. */
  static of(link: LinkTask, control: Int32Array): StandingQueue | undefined {
    const isOn = (link.features & FEATURE.aqm) !== 0;
    return isOn ? new StandingQueue(control, link.deviceAddress) : undefined;
  }

  /** `device`: the address of the overlay's device, which has its own echoes. */
  constructor(control: Int32Array, device: Words) {
    this.control = control;
    this.device = device;
  }

  /** Nothing was there to be read. */
  empty(): void {
    this.isFilled = this.isSigning = this.isOwed = false;
  }

  /** A batch was read, of so many bytes. `isEmpty`: it was all there was. */
  read(isEmpty: boolean, bytes: number): void {
    const { bulkBytes } = this;
    this.bulkBytes = 0;
    if (isEmpty) {
      this.empty();
      return;
    }
    const nowMs = this.control[WORD.clockMs] as number;
    if (!this.isFilled) {
      this.isFilled = true;
      if (((nowMs - this.dueMs) | 0) > RECENT_MS) this.signs = this.signsFirst = 0;
      this.dueMs = (nowMs + INTERVAL_MS) | 0;
    }
    const isDue = ((nowMs - this.dueMs) | 0) >= 0;
    // What fills the queue must be what can be told: beside a flood of datagrams TCP would pay alone, and for nothing.
    this.isOwed = isDue && 2 * bulkBytes >= bytes && this.isShared(nowMs);
  }

  /** A packet that goes on. */
  meet(view: DataView, at: number, header: IpHeader): void {
    if (!this.isFilled) return;
    const nowMs = this.control[WORD.clockMs] as number;
    const isLong = header.totalBytes >= BULK_BYTES_MIN;
    if (header.protocol === PROTOCOL.tcp) {
      if (isPureAck(view, at, header)) return;
      const hash = symmetricFlowHash(view, at, header);
      if (isLong) {
        this.bulkBytes += header.totalBytes;
        this.bulkFlows.note(hash, nowMs);
      } else if (this.bulkFlows.has(hash, nowMs)) return;
    }
    if (isLong || isOwnEcho(header, this.device)) return;
    this.turnWindow(nowMs);
    this.interactive++;
  }

  /** Whether a sign is owed and this packet's sender, a bulk flow's, should get it; whoever gives it says so by {@link signed}. */
  wants(view: DataView, at: number, header: IpHeader): boolean {
    if (!this.isOwed || header.protocol !== PROTOCOL.tcp) return false;
    if (header.totalBytes < BULK_BYTES_MIN) return false;
    const nowMs = this.control[WORD.clockMs] as number;
    return this.bulkFlows.has(symmetricFlowHash(view, at, header), nowMs);
  }

  signed(): void {
    // RFC 8289 section 5.5: a stand that follows another begins with what that one had to add.
    if (this.isSigning) this.signs++;
    else this.signs = this.signsFirst = Math.max(1, this.signs - this.signsFirst);
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
