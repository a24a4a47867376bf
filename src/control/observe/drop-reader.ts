/** Takes the headers of dropped packets out of the workers' rings (memory/drop-samples.ts) and numbers them for all workers. */

import {
  SAMPLE,
  SAMPLE_RECORDS,
  SAMPLE_WORDS,
  SAMPLES_NEWEST,
  sampleAt,
} from '../../memory/drop-samples.ts';
import { DROP_NAMES, type DropName } from '../../memory/drops.ts';
import type { Words } from '../../shared/address.ts';
import { wallClock } from './monotonic.ts';

/** Samples kept for readers that come later. */
const KEPT_MAX = 1024;

export interface DropSample {
  /** grows by one from sample to sample, over all workers */
  sequence: number;
  at: Date;
  worker: number;
  reason: DropName;
  outer: { address: Words; port: number } | undefined;
  packetBytes: number;
  /** IP and some transport header, empty where there was none to read */
  header: DataView;
  protocol: number;
  /** where the transport header begins, 0 where there is none */
  transport: number;
}

export class DropReader {
  private readonly rings: readonly Int32Array[];
  private readonly taken: Int32Array;
  private kept: DropSample[] = [];
  private next = 1;

  constructor(rings: readonly SharedArrayBuffer[]) {
    this.rings = rings.map((ring) => new Int32Array(ring));
    this.taken = new Int32Array(rings.length);
  }

  /** Samples from this number on that are still there, and the number to ask for next time. */
  since(sequence: number): { samples: DropSample[]; nextSequence: number } {
    this.drain();
    const samples = this.kept.filter((sample) => sample.sequence >= sequence);
    return { samples, nextSequence: this.next };
  }

  private drain(): void {
    const found = this.rings.flatMap((ring, worker) => this.drainRing(ring, worker));
    found.sort((a, b) => a.at.getTime() - b.at.getTime());
    for (const sample of found) this.kept.push({ ...sample, sequence: this.next++ });
    this.kept = this.kept.slice(-KEPT_MAX);
  }

  private drainRing(ring: Int32Array, worker: number): DropSample[] {
    const newest = Atomics.load(ring, SAMPLES_NEWEST);
    const waiting = Math.min(SAMPLE_RECORDS, (newest - (this.taken[worker] as number)) | 0);
    const wallMs = wallClock();
    const found: DropSample[] = [];
    for (let i = waiting - 1; i >= 0; i--) {
      const record = copyRecord(ring, (newest - i) | 0);
      const sample = record && parseRecord(record, worker, wallMs);
      if (sample) found.push(sample);
    }
    this.taken[worker] = newest;
    return found;
  }
}

/** undefined when the worker has written over it, or was about to. */
function copyRecord(ring: Int32Array, sequence: number): Int32Array | undefined {
  const at = sampleAt(sequence);
  if (Atomics.load(ring, at + SAMPLE.sequence) !== sequence) return undefined;
  const record = ring.slice(at, at + SAMPLE_WORDS);
  return Atomics.load(ring, at + SAMPLE.sequence) === sequence ? record : undefined;
}

function parseRecord(
  record: Int32Array,
  worker: number,
  wallMs: (word: number) => number,
): DropSample | undefined {
  const word = (name: keyof typeof SAMPLE): number => record[SAMPLE[name]] as number;
  const reason = DROP_NAMES[word('reason')];
  if (reason === undefined) return undefined;
  const header = new DataView(new ArrayBuffer(word('headerBytes')));
  for (let i = 0; i < header.byteLength; i++) {
    const part = record[SAMPLE.header + (i >> 2)] as number;
    header.setUint8(i, part >>> (24 - 8 * (i & 3)));
  }
  const address = [...record.subarray(SAMPLE.address, SAMPLE.address + 4)] as unknown as Words;
  return {
    sequence: 0,
    at: new Date(wallMs(word('clockMs'))),
    worker,
    reason,
    outer: word('port') === 0 ? undefined : { address, port: word('port') },
    packetBytes: word('packetBytes'),
    header,
    protocol: word('protocol'),
    transport: word('transport'),
  };
}
