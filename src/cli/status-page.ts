/** The shape of the daemon's /status, /history and what commands take from /peers: keys that are not named here are passed on. */
import { z } from 'zod';

export const warningShape = z.looseObject({
  code: z.string(),
  severity: z.enum(['warning', 'critical']),
  title: z.string(),
  text: z.string(),
  advice: z.string(),
  impactsConnectivity: z.boolean(),
  since: z.string(),
});
export type HealthWarning = z.infer<typeof warningShape>;

const dropsShape = z.object({
  outbound: z.record(z.string(), z.number()),
  inbound: z.record(z.string(), z.number()),
});

const workerShape = z.looseObject({
  state: z.string(),
  restarts: z.number(),
  /** time spent waiting since the start, where the daemon tells it */
  waitNs: z.number().optional(),
  stats: z.record(z.string(), z.number()).optional(),
});

/** A page of its own keys: unknown ones come from a newer daemon and are passed on. */
export const statusShape = z.looseObject({
  healthy: z.boolean(),
  version: z.string(),
  startedAt: z.string(),
  notReady: z.string().nullable(),
  node: z
    .looseObject({
      interface: z.string(),
      publicIp: z.string().nullable(),
      publicIpv6: z.string().nullable(),
    })
    .nullable(),
  backend: z.string().nullable(),
  devices: z.array(z.looseObject({ device: z.string(), mtu: z.number() })).optional(),
  mtu: z.number().nullable().optional(),
  lease: z
    .looseObject({ key: z.string(), state: z.string(), expiresAt: z.string().nullable() })
    .nullable(),
  store: z.looseObject({
    name: z.string(),
    ok: z.boolean(),
    message: z.string(),
    lastEventAt: z.string(),
  }),
  firewall: z.looseObject({ ok: z.boolean(), problem: z.string() }).nullable(),
  peers: z.looseObject({ total: z.number(), held: z.number() }),
  offloads: z.array(z.string()).optional(),
  workers: z.array(workerShape).optional(),
  counters: z.record(z.string(), z.number()).optional(),
  drops: dropsShape.optional(),
  health: z.array(warningShape).optional(),
  rates: z
    .looseObject({
      seconds: z.number(),
      sentPacketsPerSecond: z.number(),
      sentBytesPerSecond: z.number(),
      receivedPacketsPerSecond: z.number(),
      receivedBytesPerSecond: z.number(),
      droppedPacketsPerSecond: z.number(),
    })
    .optional(),
  table: z.looseObject({ generation: z.number(), publishedAt: z.string() }).nullable().optional(),
});
export type Status = z.infer<typeof statusShape>;

export const sampleShape = z.looseObject({
  at: z.string(),
  sentPackets: z.number(),
  sentBytes: z.number(),
  receivedPackets: z.number(),
  receivedBytes: z.number(),
  droppedPackets: z.number(),
});
export type Sample = z.infer<typeof sampleShape>;
export const historyShape = z.looseObject({
  intervalMs: z.number(),
  samples: z.array(sampleShape),
});

/** What is known of a peer's traffic and reachability; a daemon may know none of it. */
export const peerFactsShape = z.looseObject({
  key: z.string(),
  subnet: z.string(),
  publicIp: z.string(),
  sentBytes: z.number().optional(),
  receivedBytes: z.number().optional(),
  sentPackets: z.number().optional(),
  receivedPackets: z.number().optional(),
  lastHeardAt: z.string().nullish(),
  rttMs: z.number().nullish(),
  lossRatio: z.number().nullish(),
});
export type PeerFacts = z.infer<typeof peerFactsShape>;
export const peerFactsPageShape = z.looseObject({ peers: z.array(peerFactsShape) });
