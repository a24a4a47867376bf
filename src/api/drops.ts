/** /drops: who dropped how many packets and why, and the headers of some of them. */
import * as z from 'zod';
import { wholeIn } from './query.ts';
import { dropsByDirectionShape } from './status.ts';
import { text, time, whole } from './values.ts';

export const dropsQueryShape = z.object({
  since: wholeIn(0, Number.MAX_SAFE_INTEGER)
    .default(0)
    .describe('nextSequence of an earlier answer: samples from there on'),
});

export const dropSampleShape = z.object({
  sequence: whole('grows by one from sample to sample, over all workers'),
  at: time('when it was dropped'),
  worker: whole('its number, from 0'),
  direction: text('outbound or inbound'),
  reason: text('one of docs/reference/drops.md'),
  outer: z
    .string()
    .nullable()
    .describe('far end in the underlay, address:port; null where there is none'),
  packet: text('"10.244.1.2:1234 > 10.244.2.3:80 tcp, 60 bytes": headers, never payload'),
});
export type DropSample = z.infer<typeof dropSampleShape>;

export const dropsShape = z.object({
  workers: z
    .array(z.object({ worker: whole('its number, from 0'), ...dropsByDirectionShape.shape }))
    .describe('none where the kernel carries the packets'),
  samples: z.array(dropSampleShape).describe('oldest first, 200 a second at most'),
  nextSequence: whole('what to ask for next time'),
});
export type DropsPage = z.infer<typeof dropsShape>;
