/** The daemon's pages /ping and /reach, as the commands that use them expect them. */
import { z } from 'zod';
import { fetchPage } from '../client.ts';
import { fetchShape } from '../show.ts';

/** A round, other daemons' rounds, and others again that relay. */
const REACH_TIMEOUT_MS = 40_000;
const PING_TIMEOUT_MS = 10_000;

const family = z.union([z.literal(4), z.literal(6)]);

export const echoShape = z.discriminatedUnion('state', [
  z.looseObject({
    state: z.literal('answered'),
    rttMs: z.number(),
    ttl: z.number().nullable(),
    payloadBytes: z.number(),
  }),
  z.looseObject({ state: z.literal('lost') }),
  z.looseObject({ state: z.literal('refused'), why: z.string(), mtu: z.number().nullable() }),
]);
export type Echo = z.infer<typeof echoShape>;

export const pingedShape = z.looseObject({
  key: z.string(),
  family,
  address: z.string(),
  publicIp: z.string(),
});

const pingPageShape = z.looseObject({
  peer: pingedShape,
  deviceMtu: z.number().nullable(),
  podMtu: z.number().nullable(),
  underlayMtu: z.number().nullable(),
  echoes: z.array(echoShape).min(1),
});
export type PingPage = z.infer<typeof pingPageShape>;

export const reachShape = z.looseObject({
  schemaVersion: z.number(),
  nodes: z.array(
    z.looseObject({
      key: z.string(),
      name: z.string(),
      subnet: z.string(),
      subnets: z.array(z.string()),
      publicIps: z.array(z.string()),
      self: z.boolean(),
      kind: z.enum(['weft', 'other', 'unknown']),
      via: z.string().nullable(),
    }),
  ),
  cells: z.array(
    z.looseObject({
      from: z.string(),
      to: z.string(),
      state: z.enum(['ok', 'lost', 'unknown']),
      rttMs: z.number().nullable(),
      lossRatio: z.number().nullable(),
      lostFamilies: z.array(family),
    }),
  ),
  complete: z.boolean(),
});
export type ReachPage = z.infer<typeof reachShape>;
export type ReachNode = ReachPage['nodes'][number];
export type ReachCell = ReachPage['cells'][number];

export interface EchoRequest {
  key: string;
  family: 4 | 6;
  size: number;
  timeoutMs: number;
}

/** One echo. */
export async function fetchEcho(
  socket: string,
  { key, family: wanted, size, timeoutMs }: EchoRequest,
): Promise<PingPage> {
  const page = `/ping?peer=${encodeURIComponent(key)}&family=${wanted}&size=${size}&timeout=${timeoutMs}`;
  return fetchShape(socket, page, pingPageShape, PING_TIMEOUT_MS);
}

export function fetchReach(socket: string): Promise<Record<string, unknown>> {
  return fetchPage(socket, '/reach', REACH_TIMEOUT_MS);
}
