/**
 * Captures: tells the workers what to copy, drains their rings (memory/capture.ts) into a pcap stream, and makes sure that they stop
 * when the reader is gone. One at a time: the rings have one reader.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { CaptureSummary } from '../../api/capture.ts';
import {
  CAPTURE,
  CAPTURE_HEADER,
  CAPTURE_RING_BYTES,
  RECORD,
  RECORD_HEADER_BYTES,
  SESSIONS,
  SIDE,
  type SideName,
} from '../../memory/capture.ts';
import type { Words } from '../../shared/address.ts';
import { pcapHeader, pcapRecord } from '../../wire/pcap.ts';
import { wallClock } from './monotonic.ts';
import type { Onlookers } from './onlookers.ts';

const DRAIN_MS = 20;

export interface CaptureWish {
  side: SideName;
  /** slots of the peer's counters, by family; absent = all peers */
  slots?: readonly number[];
  address?: Words;
  packetsMax: number;
  durationMs: number;
  snapBytes: number;
}

interface Captured {
  timeMs: number;
  ns: number;
  packetBytes: number;
  bytes: Uint8Array;
}

interface Run {
  session: number;
  captured: number;
  wallMs: (word: number) => number;
  ended: AbortController;
}

export class Captures {
  private readonly rings: readonly Ring[];
  private newest: Run | undefined;

  private readonly onlookers: Pick<Onlookers, 'begin'>;

  /** One memory per worker. */
  constructor(memories: readonly SharedArrayBuffer[], onlookers: Pick<Onlookers, 'begin'>) {
    this.onlookers = onlookers;
    this.rings = memories.map((memory) => new Ring(memory));
  }

  /** How the newest capture goes, or went. */
  get summary(): CaptureSummary {
    const { newest } = this;
    const running = newest !== undefined && !newest.ended.signal.aborted;
    const missed = this.rings.reduce((sum, ring) => sum + ring.missed, 0);
    return { running, captured: newest?.captured ?? 0, missed };
  }

  /** Starts at once; the stream must be read, or `gone` aborted, for it to end before its time. Throws while another one runs. */
  start(wish: CaptureWish, gone: AbortSignal): AsyncIterable<Uint8Array> {
    if (this.summary.running) throw new Error('another capture is running; one at a time');
    const session = ((this.newest?.session ?? 0) % (SESSIONS - 1)) + 1;
    const run = { session, captured: 0, wallMs: wallClock(), ended: new AbortController() };
    this.newest = run;
    for (const ring of this.rings) ring.order(wish, session);
    run.ended.signal.addEventListener('abort', this.onlookers.begin(), { once: true });
    gone.addEventListener('abort', () => this.end(run), { once: true });
    // Also when its reader stands still.
    const timer = setTimeout(() => this.end(run), wish.durationMs).unref();
    run.ended.signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
    if (gone.aborted) this.end(run);
    return this.stream(wish, run);
  }

  private async *stream(wish: CaptureWish, run: Run): AsyncIterable<Uint8Array> {
    const untilMs = performance.now() + wish.durationMs;
    const { signal } = run.ended;
    try {
      yield pcapHeader(wish.snapBytes);
      for (;;) {
        const isLast = signal.aborted || performance.now() >= untilMs;
        if (isLast) this.end(run);
        const chunk = this.drain(run, wish.packetsMax);
        if (chunk.length > 0) yield chunk;
        if (isLast || run.captured >= wish.packetsMax) return;
        await sleep(DRAIN_MS, undefined, { signal }).catch(() => undefined);
      }
    } finally {
      this.end(run);
    }
  }

  /** Everything that the workers have copied since the last time, in the order of time. */
  private drain(run: Run, packetsMax: number): Uint8Array {
    if (run !== this.newest) return new Uint8Array();
    const found = this.rings.flatMap((ring) => ring.take(run.session, run.wallMs));
    found.sort((a, b) => a.timeMs - b.timeMs || a.ns - b.ns);
    const packets = found.slice(0, packetsMax - run.captured);
    run.captured += packets.length;
    return Buffer.concat(packets.map((p) => pcapRecord(p.timeMs, p.ns, p.packetBytes, p.bytes)));
  }

  private end(run: Run): void {
    if (run.ended.signal.aborted) return;
    for (const ring of this.rings) ring.stop();
    run.ended.abort();
  }

  /** Ends the capture that runs: its stream still gets what was copied. */
  close(): void {
    if (this.newest) this.end(this.newest);
  }
}

/** The control thread's end of a worker's ring. */
class Ring {
  private readonly words: Int32Array;
  private readonly bytes: Uint8Array;
  private missedBefore = 0;

  constructor(memory: SharedArrayBuffer) {
    this.words = new Int32Array(memory);
    this.bytes = new Uint8Array(memory);
  }

  get missed(): number {
    return (Atomics.load(this.words, CAPTURE.missed) - this.missedBefore) | 0;
  }

  order(wish: CaptureWish, session: number): void {
    const { words } = this;
    this.missedBefore = Atomics.load(words, CAPTURE.missed);
    words[CAPTURE.snapBytes] = wish.snapBytes;
    words[CAPTURE.slot4] = wish.slots?.[0] ?? -1;
    words[CAPTURE.slot6] = wish.slots?.[1] ?? -1;
    words[CAPTURE.hasAddress] = wish.address ? 1 : 0;
    words.set(wish.address ?? [0, 0, 0, 0], CAPTURE.address);
    Atomics.store(words, CAPTURE.order, (session << 2) | SIDE[wish.side]);
  }

  stop(): void {
    Atomics.store(this.words, CAPTURE.order, SIDE.off);
  }

  /** The session's records; those of others are passed over. */
  take(session: number, wallMs: (word: number) => number): Captured[] {
    const { words } = this;
    const found: Captured[] = [];
    const head = Atomics.load(words, CAPTURE.head);
    let tail = Atomics.load(words, CAPTURE.tail);
    while (tail !== head) {
      const at = CAPTURE_HEADER + ((tail & (CAPTURE_RING_BYTES - 1)) >> 2);
      const size = words[at + RECORD.bytes] as number;
      if (size <= 0 || size > CAPTURE_RING_BYTES) throw new Error('capture: the ring is damaged');
      if (words[at + RECORD.session] === session) found.push(this.recordAt(at, wallMs));
      tail = (tail + size) | 0;
    }
    Atomics.store(words, CAPTURE.tail, head);
    return found;
  }

  private recordAt(at: number, wallMs: (word: number) => number): Captured {
    const { words, bytes } = this;
    const begin = at * 4 + RECORD_HEADER_BYTES;
    return {
      timeMs: wallMs(words[at + RECORD.clockMs] as number),
      ns: words[at + RECORD.clockNs] as number,
      packetBytes: words[at + RECORD.packetBytes] as number,
      bytes: bytes.slice(begin, begin + (words[at + RECORD.capturedBytes] as number)),
    };
  }
}
