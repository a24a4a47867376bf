/**
 * TCP flows that fill queues, of either direction: they had much at once a moment ago. What the overlay's TUN is given of such a flow goes in
 * by the worker's queue for bulk flows, and the kernel hands out the other direction of a flow where it came in (tun_flow_update in
 * drivers/net/tun.c): so a bulk flow's packets to be sent wait there as well, and others need not wait behind them. What the kernel does not
 * know by its other direction (a first packet, what is only sent) it puts into any of the queues.
 */
import { type IpHeader, PROTOCOL, symmetricFlowHash } from '../wire/ip.ts';
import { RecentFlows } from './recent-flows.ts';

/** A flow stays a bulk flow for so long, so that hardly anything of it waits when it is one no more. */
const KEPT_MS = 1_000;
/** So many bytes at once are of a bulk flow: six packets of usual size. */
const BULK_BYTES_MIN = 8_000;

export class BulkFlows {
  /** Two flows of one place must not take it from each other all the time: each time the loser's packets would overtake its own. */
  private readonly flows = new RecentFlows(KEPT_MS);
  /** packets of one flow, one behind the other */
  private runHash = 0;
  private runBytes = 0;

  /** A packet from the TUN. */
  note(view: DataView, at: number, header: IpHeader, nowMs: number): void {
    if (header.protocol !== PROTOCOL.tcp || header.totalBytes < BULK_BYTES_MIN) return;
    this.flows.noteIfFree(symmetricFlowHash(view, at, header), nowMs);
  }

  /** A batch from the socket begins. */
  begin(): void {
    this.runBytes = 0;
  }

  /** A packet from the socket: whether it is of a bulk flow. */
  meet(view: DataView, at: number, header: IpHeader, nowMs: number): boolean {
    if (header.protocol !== PROTOCOL.tcp) return false;
    const hash = symmetricFlowHash(view, at, header);
    this.runBytes = (hash === this.runHash ? this.runBytes : 0) + header.totalBytes;
    this.runHash = hash;
    if (this.runBytes >= BULK_BYTES_MIN) this.flows.noteIfFree(hash, nowMs);
    return this.flows.has(hash, nowMs);
  }
}
