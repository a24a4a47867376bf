/**
 * TCP flows that fill queues, of either direction: they had a super-packet a moment ago. What the overlay's TUN is given of such a flow goes
 * in by the worker's queue for bulk flows, and the kernel hands out the other direction of a flow where it came in (tun_flow_update in
 * drivers/net/tun.c): so a bulk flow's packets to be sent wait there as well, and nobody else behind them.
 */
import { type IpHeader, PROTOCOL, symmetricFlowHash } from '../wire/ip.ts';
import { RecentFlows } from './recent-flows.ts';

/** A flow stays a bulk flow for so long: until then what waits of it was sent, and nothing overtakes it. */
const KEPT_MS = 1_000;
/** What is handed over at once and is longer is of a bulk flow: five packets of usual size. */
const BULK_BYTES_MIN = 8_000;

export class BulkFlows {
  private readonly flows = new RecentFlows(KEPT_MS);

  /** A packet of so many bytes together with those that came at once with it. */
  note(view: DataView, at: number, header: IpHeader, bytes: number, nowMs: number): void {
    if (bytes < BULK_BYTES_MIN || header.protocol !== PROTOCOL.tcp) return;
    this.flows.note(symmetricFlowHash(view, at, header), nowMs);
  }

  has(view: DataView, at: number, header: IpHeader, nowMs: number): boolean {
    if (header.protocol !== PROTOCOL.tcp) return false;
    return this.flows.has(symmetricFlowHash(view, at, header), nowMs);
  }
}
