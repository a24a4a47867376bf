/**
 * /capture: packets of the overlay as pcap, until one of its limits is reached or the client leaves. /capture/stop ends it with
 * everything that was copied by then; /capture/summary tells how the newest one goes.
 */
import * as z from 'zod';
import { SNAP_BYTES_MAX, SNAP_BYTES_MIN } from '../memory/capture.ts';
import { wholeIn } from './query.ts';
import { amount } from './values.ts';

export const PCAP = 'application/vnd.tcpdump.pcap';

const DAY_SECONDS = 86_400;

export const captureQueryShape = z.object({
  side: z
    .enum(['inner', 'outer'], 'inner or outer')
    .default('inner')
    .describe("pods' packets, or the encapsulated ones"),
  count: wholeIn(1, Number.MAX_SAFE_INTEGER).optional().describe('stop after this many packets'),
  seconds: wholeIn(1, DAY_SECONDS).default(DAY_SECONDS).describe('stop after this many seconds'),
  snap: wholeIn(SNAP_BYTES_MIN, SNAP_BYTES_MAX)
    .default(SNAP_BYTES_MAX)
    .describe('bytes of each packet that are copied at most'),
  address: z.string().optional().describe('only with this inner source or destination'),
  peer: z.string().optional().describe('only with this node: its key, subnet or public address'),
});

export const captureSummaryShape = z.object({
  running: z.boolean(),
  captured: amount('packets that were sent to the client'),
  missed: amount('packets that were not copied: they came faster than they were taken'),
});
export type CaptureSummary = z.infer<typeof captureSummaryShape>;
