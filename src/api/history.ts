/** /history: the last two minutes of traffic. */
import * as z from 'zod';
import { time, whole } from './values.ts';

/** Rates: per second, over the interval that ends at `at`. */
export const sampleShape = z.object({
  at: time('end of the interval'),
  sentPackets: z.number().describe('per second'),
  sentBytes: z.number().describe('per second'),
  receivedPackets: z.number().describe('per second'),
  receivedBytes: z.number().describe('per second'),
  droppedPackets: z.number().describe('per second, in both directions'),
});
export type Sample = z.infer<typeof sampleShape>;

export const historyShape = z.object({
  intervalMs: whole('between two samples'),
  samples: z.array(sampleShape).describe('newest last'),
});
export type HistoryPage = z.infer<typeof historyShape>;
