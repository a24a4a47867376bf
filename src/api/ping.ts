/** /ping: echoes to one peer through the overlay, one after the other; the peer's kernel answers. */
import * as z from 'zod';
import { LAYOUT } from '../memory/layout.ts';
import { LEASE_KEY_CHARACTERS_MAX } from '../shared/limits.ts';
import { family, nodeName, text, whole } from './values.ts';

const inRange = (min: number, max: number) => z.coerce.number().int().min(min).max(max);

export const pingQueryShape = z.object({
  peer: z.string().max(LEASE_KEY_CHARACTERS_MAX).describe('key of its lease'),
  family: z.enum(['4', '6']).optional().describe('IPv4 unless the peer has none'),
  count: inRange(1, 10).default(1).describe('echoes'),
  size: inRange(LAYOUT.echoTokenBytes, LAYOUT.echoPayloadMax)
    .default(56)
    .describe('bytes behind the echo header'),
  timeout: inRange(10, 4_000).default(1_000).describe('how long to wait for each, ms'),
});

/** How one echo ended. */
export const echoShape = z.discriminatedUnion('state', [
  z.object({
    state: z.literal('answered'),
    rttMs: z.number(),
    ttl: z.int().nullable().describe('of the answer; null where the kernel does not tell'),
    payloadBytes: whole('behind the echo header'),
  }),
  z.object({ state: z.literal('lost') }),
  z.object({
    state: z.literal('refused').describe('not sent, or turned back on the way'),
    why: z.string(),
    mtu: z.int().nullable().describe('where somebody named what would pass, bytes'),
  }),
]);
export type Echo = z.infer<typeof echoShape>;

export const pingedShape = z.object({
  key: z.string(),
  nodeName,
  family,
  address: text("of the peer's overlay device"),
  publicIp: z.string(),
});

export const pingShape = z.object({
  peer: pingedShape,
  size: whole('bytes behind the echo header'),
  deviceMtu: z.int().nullable().describe("of this node's overlay device, bytes"),
  podMtu: z.int().nullable().describe('bytes'),
  underlayMtu: z.int().nullable().describe("of this node's interface, bytes"),
  echoes: z.array(echoShape).min(1).describe('in the order in which they were sent'),
});
export type PingPage = z.infer<typeof pingShape>;
