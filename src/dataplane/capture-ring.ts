/** The worker's end of a capture (contract and layout: shared/capture.ts). Nothing is copied while no capture runs. */
import {
  CAPTURE,
  CAPTURE_HEADER,
  CAPTURE_RING_BYTES,
  RECORD,
  RECORD_HEADER_BYTES,
  SIDE,
} from '../memory/capture.ts';
import { WORD } from '../memory/worker-task.ts';
import { CAPTURE_BURST, CAPTURE_PER_SECOND } from '../shared/limits.ts';
import type { IpHeader } from '../wire/ip.ts';
import { TokenBucket } from './token-bucket.ts';

export class CaptureRing {
  /** of SIDE, in force since the last {@link CaptureRing.refresh} */
  side: number = SIDE.off;
  private readonly words: Int32Array;
  private readonly view: DataView;
  private readonly control: Int32Array;
  private readonly budget: TokenBucket;
  private order = 0;
  private snapBytes = 0;
  private slot4 = -1;
  private slot6 = -1;
  private hasAddress = false;
  private address0 = 0;
  private address1 = 0;
  private address2 = 0;
  private address3 = 0;
  /** the open record: its first byte in the ring, its size, and where in the view the next bytes go */
  private record = 0;
  private recordBytes = 0;
  private cursor = 0;
  private left = 0;

  constructor(memory: SharedArrayBuffer, control: Int32Array) {
    this.words = new Int32Array(memory);
    this.view = new DataView(memory);
    this.control = control;
    this.budget = new TokenBucket(control, CAPTURE_PER_SECOND, CAPTURE_BURST);
  }

  /** Looks for a new order; once per batch. Returns the side that is wanted. */
  refresh(): number {
    const order = Atomics.load(this.words, CAPTURE.order);
    if (order !== this.order) this.take(order);
    return this.side;
  }

  private take(order: number): void {
    const { words } = this;
    this.order = order;
    this.side = order & 3;
    this.snapBytes = words[CAPTURE.snapBytes] as number;
    this.slot4 = words[CAPTURE.slot4] as number;
    this.slot6 = words[CAPTURE.slot6] as number;
    this.hasAddress = words[CAPTURE.hasAddress] !== 0;
    this.address0 = words[CAPTURE.address] as number;
    this.address1 = words[CAPTURE.address + 1] as number;
    this.address2 = words[CAPTURE.address + 2] as number;
    this.address3 = words[CAPTURE.address + 3] as number;
  }

  /** Whether the filter asks for the peer. */
  get wantsPeer(): boolean {
    return this.slot4 >= 0 || this.slot6 >= 0;
  }

  matchesPeer(slot: number): boolean {
    return !this.wantsPeer || (slot >= 0 && (slot === this.slot4 || slot === this.slot6));
  }

  /** `isIp`: the header was readable. */
  matchesAddress(isIp: boolean, h: IpHeader): boolean {
    if (!this.hasAddress) return true;
    if (!isIp) return false;
    return (
      this.isAddress(h.source0, h.source1, h.source2, h.source3) ||
      this.isAddress(h.destination0, h.destination1, h.destination2, h.destination3)
    );
  }

  private isAddress(a: number, b: number, c: number, d: number): boolean {
    return d === this.address3 && c === this.address2 && b === this.address1 && a === this.address0;
  }

  /** Opens the record of a packet; false, and counted, when there is no room or the rate is used up. */
  open(packetBytes: number): boolean {
    const { words } = this;
    const captured = Math.min(packetBytes, this.snapBytes);
    const size = (RECORD_HEADER_BYTES + captured + 7) & ~7;
    const head = words[CAPTURE.head] as number;
    const used = (head - Atomics.load(words, CAPTURE.tail)) | 0;
    const toEnd = CAPTURE_RING_BYTES - (head & (CAPTURE_RING_BYTES - 1));
    const filler = size > toEnd ? toEnd : 0;
    if (used + filler + size > CAPTURE_RING_BYTES || !this.budget.take()) {
      words[CAPTURE.missed] = ((words[CAPTURE.missed] as number) + 1) | 0;
      return false;
    }
    if (filler > 0) this.fill(head, filler);
    this.record = (head + filler) | 0;
    this.recordBytes = size;
    this.left = captured;
    this.writeHeader(size, packetBytes, captured);
    return true;
  }

  private fill(head: number, bytes: number): void {
    const at = wordAt(head);
    this.words[at + RECORD.bytes] = bytes;
    this.words[at + RECORD.session] = 0;
  }

  private writeHeader(size: number, packetBytes: number, captured: number): void {
    const { words, control } = this;
    const at = wordAt(this.record);
    words[at + RECORD.bytes] = size;
    words[at + RECORD.session] = this.order >> 2;
    words[at + RECORD.clockMs] = control[WORD.clockMs] as number;
    words[at + RECORD.clockNs] = control[WORD.clockNs] as number;
    words[at + RECORD.packetBytes] = packetBytes;
    words[at + RECORD.capturedBytes] = captured;
    this.cursor = at * 4 + RECORD_HEADER_BYTES;
  }

  /** Four bytes of a header made here; there is always room for one, because no snap length is shorter. */
  put(word: number): void {
    this.view.setInt32(this.cursor, word);
    this.cursor += 4;
    this.left -= 4;
  }

  /** Fills the record with what lies in the pool, and hands it over. */
  close(pool: DataView, at: number): void {
    const { view, cursor, left } = this;
    for (let i = 0; i < left; i += 4) view.setInt32(cursor + i, pool.getInt32(at + i));
    Atomics.store(this.words, CAPTURE.head, (this.record + this.recordBytes) | 0);
  }
}

function wordAt(head: number): number {
  return CAPTURE_HEADER + ((head & (CAPTURE_RING_BYTES - 1)) >> 2);
}
