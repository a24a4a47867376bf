/**
 * ICMP errors to senders whose packets can't be forwarded. They leave through a raw socket, as the kernel's own do: their source is the
 * device's own address, and what comes out of the TUN with such a source is dropped by the kernel as martian (flannel's own unreachable
 * messages never arrive for that reason). A token bucket bounds their rate.
 */
import type { Addon } from '../memory/addon.ts';
import { COUNTER } from '../memory/counters.ts';
import type { LinkTask } from '../memory/worker-task.ts';
import { ICMP_BURST, ICMP_PER_SECOND } from '../shared/limits.ts';
import {
  answerBytes,
  ICMP_HEADER_BYTES,
  type IcmpError,
  IPV4_HEADER_BYTES,
  IPV6_HEADER_BYTES,
  mayAnswer,
  writeAnswerHeaders,
} from '../wire/icmp.ts';
import { type IpHeader, PROTOCOL } from '../wire/ip.ts';
import { add } from './drop.ts';
import type { Gear } from './gear.ts';
import { type Pool, SCRATCH_SLOT, slotAt } from './pool.ts';
import { TokenBucket } from './token-bucket.ts';

export class IcmpReply {
  private readonly addon: Addon;
  private readonly engine: number;
  private readonly pool: Pool;
  private readonly link: LinkTask;
  private readonly counters: Float64Array;
  private readonly budget: TokenBucket;

  constructor({ addon, engine, pool, control, counters }: Gear, link: LinkTask) {
    this.addon = addon;
    this.engine = engine;
    this.pool = pool;
    this.link = link;
    this.counters = counters;
    this.budget = new TokenBucket(control, ICMP_PER_SECOND, ICMP_BURST);
  }

  /** Answers the packet at `at`, if it may be answered and the rate allows. */
  send(error: IcmpError, at: number, header: IpHeader): void {
    const { icmpFd, family, deviceAddress } = this.link;
    if (icmpFd < 0 || header.version !== family || !mayAnswer(this.pool.view, at, header)) return;
    if (!this.budget.take()) {
      add(this.counters, COUNTER.icmpLimited, 1);
      return;
    }
    const to = slotAt(SCRATCH_SLOT);
    const bytes = answerBytes(header);
    writeAnswerHeaders(this.pool.view, to, header, error, deviceAddress);
    const headers =
      (header.version === 4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES) + ICMP_HEADER_BYTES;
    this.pool.bytes.copyWithin(to + headers, at, at + bytes - headers);
    this.writeChecksums(to, bytes, header.version);
    if (this.addon.icmpSend(this.engine, icmpFd, to, bytes) === 0)
      add(this.counters, COUNTER.icmpSent, 1);
  }

  private writeChecksums(at: number, bytes: number, version: number): void {
    const { view, bytes: pool } = this.pool;
    if (version === 4) {
      const headerSum = this.addon.checksum(pool, at, IPV4_HEADER_BYTES, 0);
      view.setUint16(at + 10, ~headerSum & 0xffff);
      const sum = this.addon.checksum(pool, at + IPV4_HEADER_BYTES, bytes - IPV4_HEADER_BYTES, 0);
      view.setUint16(at + IPV4_HEADER_BYTES + 2, ~sum & 0xffff);
      return;
    }
    // RFC 4443 2.3: the pseudo header is both addresses, the length and the next header.
    const addresses = this.addon.checksum(pool, at + 8, 32, PROTOCOL.icmp6);
    const length = bytes - IPV6_HEADER_BYTES;
    const sum = this.addon.checksum(pool, at + IPV6_HEADER_BYTES, length, addresses + length);
    view.setUint16(at + IPV6_HEADER_BYTES + 2, ~sum & 0xffff);
  }
}
