/**
 * Headers of some dropped packets, a ring for each worker: it writes (dataplane/drop.ts), the control thread reads
 * (control/drop-reader.ts). Records are numbered from 1; record n lies at n % SAMPLE_RECORDS.
 *
 * Contract: the writer clears SAMPLE.sequence, fills the record, then stores its number there and in SAMPLES_NEWEST. A reader copies
 * the record and takes it only if the number was there before and after.
 */

/** Words before the records; the first is the number of the newest record. */
export const SAMPLES_HEADER = 32;
export const SAMPLES_NEWEST = 0;
export const SAMPLE_RECORDS = 256;
export const SAMPLE_WORDS = 32;
export const SAMPLES_BYTES = (SAMPLES_HEADER + SAMPLE_RECORDS * SAMPLE_WORDS) * 4;

/** Words of a record. */
export const SAMPLE = {
  sequence: 0,
  clockMs: 1,
  reason: 2,
  /** outer sender, port 0 where there is none */
  port: 3,
  address: 4,
  /** of the inner packet, or of the datagram when it has no IP header that could be read */
  packetBytes: 8,
  /** how many bytes of header follow: IP and the first 8 of TCP, UDP or ICMP, never payload; 0 = none readable */
  headerBytes: 9,
  protocol: 10,
  /** where TCP, UDP or ICMP begins in it, 0 where that was not readable */
  transport: 11,
  header: 12,
} as const;
export const SAMPLE_HEADER_BYTES_MAX = (SAMPLE_WORDS - SAMPLE.header) * 4;

/** First word of a record. */
export function sampleAt(sequence: number): number {
  return SAMPLES_HEADER + (sequence & (SAMPLE_RECORDS - 1)) * SAMPLE_WORDS;
}
