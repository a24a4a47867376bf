/** The one place where a packet that is not forwarded gets its reason; of some such packets the header is kept. */
import { DROPS_AT } from '../memory/counters.ts';
import {
  SAMPLE,
  SAMPLE_HEADER_BYTES_MAX,
  SAMPLES_NEWEST,
  sampleAt,
} from '../memory/drop-samples.ts';
import { DROP } from '../memory/drops.ts';
import { LAYOUT, ROW } from '../memory/layout.ts';
import { WORD } from '../memory/worker-task.ts';
import { DROP_SAMPLES_BURST, DROP_SAMPLES_PER_SECOND } from '../shared/limits.ts';
import { hasTransport, IpHeader, PROTOCOL, parseIp } from '../wire/ip.ts';
import { TokenBucket } from './token-bucket.ts';

/** Verdict on a packet that goes on; any other is its DROP reason. */
export const FORWARD = -1;

const EAGAIN = 11;
const EMSGSIZE = 90;
const ENOBUFS = 105;
/** Ports of TCP and UDP; type, code and identifier of ICMP. */
const TRANSPORT_BYTES = 8;

/** Counts a worker's drops. A flood of them costs an addition and a compare each. */
export class Drops {
  private readonly counters: Float64Array;
  private readonly words: Int32Array;
  private readonly control: Int32Array;
  private readonly view: DataView;
  private readonly budget: TokenBucket;
  private readonly header = new IpHeader();

  /** `view` is the pool's. */
  constructor(
    counters: Float64Array,
    samples: SharedArrayBuffer,
    control: Int32Array,
    view: DataView,
  ) {
    this.counters = counters;
    this.words = new Int32Array(samples);
    this.control = control;
    this.view = view;
    this.budget = new TokenBucket(control, DROP_SAMPLES_PER_SECOND, DROP_SAMPLES_BURST);
  }

  /** A packet that lies in the pool. */
  count(reason: number, at: number, length: number): void {
    add(this.counters, DROPS_AT + reason, 1);
    if (!this.budget.take()) return;
    const record = this.begin(reason);
    this.words[record + SAMPLE.port] = 0;
    this.end(record, at, length, 0);
  }

  /** A part of a packet that goes on otherwise: of that no header is kept. */
  countPart(reason: number): void {
    add(this.counters, DROPS_AT + reason, 1);
  }

  /** One with a far end in its row; the inner packet begins `skip` bytes behind `at`. */
  countWithFarEnd(
    reason: number,
    at: number,
    length: number,
    skip: number,
    rows: Int32Array,
    row: number,
  ): void {
    add(this.counters, DROPS_AT + reason, 1);
    if (!this.budget.take()) return;
    const { words } = this;
    const record = this.begin(reason);
    words[record + SAMPLE.port] = rows[row + ROW.port] as number;
    for (let i = 0; i < 4; i++)
      words[record + SAMPLE.address + i] = rows[row + ROW.address + i] as number;
    this.end(record, at, length, skip);
  }

  private begin(reason: number): number {
    const record = sampleAt(((this.words[SAMPLES_NEWEST] as number) + 1) | 0);
    Atomics.store(this.words, record + SAMPLE.sequence, 0);
    this.words[record + SAMPLE.clockMs] = this.control[WORD.clockMs] as number;
    this.words[record + SAMPLE.reason] = reason;
    return record;
  }

  private end(record: number, at: number, length: number, skip: number): void {
    const { words, header, view } = this;
    const isIp = parseIp(view, at + skip, length - skip, header);
    const transportBytes = isIp ? readableTransport(header) : 0;
    const headerBytes = isIp
      ? Math.min(header.transport + transportBytes, SAMPLE_HEADER_BYTES_MAX)
      : 0;
    words[record + SAMPLE.packetBytes] = isIp ? header.totalBytes : length;
    words[record + SAMPLE.headerBytes] = headerBytes;
    words[record + SAMPLE.protocol] = header.protocol;
    words[record + SAMPLE.transport] = transportBytes > 0 ? header.transport : 0;
    for (let i = 0; i < headerBytes; i += 4)
      words[record + SAMPLE.header + (i >> 2)] = view.getInt32(at + skip + i);
    const sequence = ((words[SAMPLES_NEWEST] as number) + 1) | 0;
    Atomics.store(words, record + SAMPLE.sequence, sequence);
    Atomics.store(words, SAMPLES_NEWEST, sequence);
  }
}

/** How much of what follows the IP header is header: nothing else is ever kept. */
function readableTransport(header: IpHeader): number {
  const { protocol } = header;
  const isKnown =
    protocol === PROTOCOL.tcp ||
    protocol === PROTOCOL.udp ||
    protocol === PROTOCOL.icmp4 ||
    protocol === PROTOCOL.icmp6;
  return isKnown && hasTransport(header, TRANSPORT_BYTES) ? TRANSPORT_BYTES : 0;
}

export function add(counters: Float64Array, counter: number, amount: number): void {
  counters[counter] = (counters[counter] as number) + amount;
}

/** Reason for a row that the native send refused, from its result column. */
export function reasonOfSend(result: number): number {
  if (result === LAYOUT.rowBad) return DROP.outBadOffload;
  if (result === EMSGSIZE) return DROP.outUnderlayMtu;
  if (result === EAGAIN || result === ENOBUFS) return DROP.outUnderlayFull;
  return DROP.outUnderlayRefused;
}
