/** /status: this node at a glance. */
import * as z from 'zod';
import { COUNTER_NAMES } from '../memory/counters.ts';
import { STAT_NAMES } from '../memory/layout.ts';
import { warningShape } from './health.ts';
import { amount, amounts, family, text, time, whole } from './values.ts';

export const nodeShape = z.object({
  interface: text('of the underlay'),
  publicIp: z.string().nullable().describe('where peers send to, IPv4'),
  publicIpv6: z.string().nullable().describe('where peers send to, IPv6'),
});

export const leaseShape = z.object({
  key: text('as in the store: 10.244.1.0-24'),
  state: text(
    'held, lost (being put back), taken (by another node) or remembered (the store has not answered since the start)',
  ),
  isPermanent: z.boolean().describe('a reservation: never renewed'),
  expiresAt: time('when it ends unless it is renewed; null: never').nullable(),
});

/** This node's object in a Kubernetes cluster. */
export const ownObjectShape = z.object({
  server: text('of the API server'),
  nodeName: z.string().nullable().describe('null: not known yet'),
  podCidrs: z
    .array(z.string())
    .describe('that the cluster gave the Node; none: not yet, or not known'),
  annotated: z.boolean().describe('what peers must know stands on the Node, as this node wrote it'),
  problem: text('what is wrong with the Node, "" while nothing is known to be'),
  forbidden: z
    .array(z.string())
    .describe('calls that the API server forbids: method, or "watch", and path'),
});
export type OwnObjectEntry = z.infer<typeof ownObjectShape>;

export const storeShape = z.object({
  name: text('where it is, without secrets; the first word is its kind'),
  ok: z.boolean().describe('it answers'),
  message: text('why not, "" when it does'),
  since: time('it answers, or does not: see ok'),
  lastEventAt: time('the newest list of leases; null: none since the start').nullable(),
  rememberedAt: time(
    'this node started from memory: when the store said last what it forwards by; null: the store has answered',
  ).nullable(),
  kubernetes: ownObjectShape.nullable().describe('null where the store is another one'),
});

/** The peers in sum; /peers has each. */
export const reachSummaryShape = z.object({
  reachable: whole('peers that answer'),
  unreachable: whole('peers of which three echoes in a row were lost'),
  unknown: whole('peers that were just learned of and have not answered yet'),
  rttMs: z
    .object({ least: z.number(), most: z.number() })
    .nullable()
    .describe('newest round trips; null: nobody answered'),
});

/** Means of the last seconds, all 0 while there is nothing to tell. */
export const ratesShape = z.object({
  seconds: z.number().describe('how many are looked back on'),
  sentPacketsPerSecond: z.number(),
  sentBytesPerSecond: z.number(),
  receivedPacketsPerSecond: z.number(),
  receivedBytesPerSecond: z.number(),
  droppedPacketsPerSecond: z.number(),
});
export type Rates = z.infer<typeof ratesShape>;

export const tableShape = z.object({
  generation: whole('number of the publication in force'),
  publishedAt: time('when it came into force'),
});

export const deviceShape = z.object({
  device: text('name of the network device'),
  family,
  mtu: whole('bytes'),
  mac: z.string().nullable().describe('VTEP MAC; null where the wire carries none'),
});

/** Super-packets that leave whole, encapsulated by this node and segmented by the network device. */
export const tunnelGsoShape = z.object({
  device: text('the helper TAP'),
  egress: z.array(
    z.object({
      device: text('network device and address family that peers are reached through'),
      usable: z.boolean(),
      why: text('why not, "" when it is'),
    }),
  ),
});
export type TunnelGso = z.infer<typeof tunnelGsoShape>;

/** Inner TCP over IPv4 that the kernel carries past the workers: docs/operations/fast-path.md. */
export const fastPathShape = z.object({
  on: z.boolean().describe('it carries what is plain; what is odd goes through the workers'),
  why: text('why it carries nothing, "" when it is on'),
  peers: whole('peers whose packets it carries while it is on'),
  egress: z.array(
    z.object({
      device: text('network device that peers are reached through'),
      usable: z.boolean(),
      why: text('why not, "" when it is'),
    }),
  ),
  counters: amounts('packets and bytes of counters, of this page, that it carried'),
});
export type FastPathState = z.infer<typeof fastPathShape>;

export const workerShape = z.object({
  state: text('running, stuck (no heartbeat), restarting or stopped'),
  restarts: whole('since the start'),
  heartbeat: z.int().describe('moves at least ten times a second; wraps at 32 bits'),
  breaths: amount('turns, over all restarts'),
  waitNs: amount('time spent waiting in them; the rest of the time it worked'),
  capabilities: text('dropped, or kept and why; "" before the thread runs'),
  seccomp: text('on, or off and why: the filter of system calls; "" before the thread runs'),
});

/** What the process gave up for good: docs/operations/security.md. */
export const hardeningShape = z.object({
  noDump: text('on, or off and why: no core file, no ptrace by others of its user'),
  noRings: text('on, or off and why: no io_uring, which passes system call filters unseen'),
  files: text('on and the version of Landlock, or off and why: written in few places only'),
});

/** Packets by reason; docs/reference/drops.md lists the reasons. */
export const dropsByDirectionShape = z.object({
  outbound: amounts('packets of pods that did not leave, by reason'),
  inbound: amounts('packets of peers that did not reach a pod, by reason'),
});

const batches = z.array(z.number());

/** What only a node with a backend has: absent while it starts. Counts are totals of all workers since the start. */
export const planeShape = z.object({
  devices: z.array(deviceShape).describe('of the overlay; none where the kernel carries packets'),
  offloads: z.array(z.string()).describe('fast paths in use, by the names of --offload'),
  tunnelGso: tunnelGsoShape.nullable().describe('null: not possible here, or not wanted'),
  fastPath: fastPathShape,
  workers: z.array(workerShape).describe('one entry for each worker thread'),
  counters: amounts(`packets and bytes: ${COUNTER_NAMES.join(', ')}`),
  stats: amounts(`system calls and offloads: ${STAT_NAMES.join(', ')}`),
  batches: z
    .object({ outbound: batches, inbound: batches })
    .describe('turns by the packets in their batch: up to 1, 2, 4, 8, 16, 32, 64, 128, and more'),
  drops: dropsByDirectionShape,
});
export type Plane = z.infer<typeof planeShape>;

export const firewallShape = z.object({
  ok: z.boolean(),
  problem: text('why the rules are not in place, "" when they are'),
  kind: z
    .enum(['iptables', 'nftables'])
    .nullable()
    .describe(
      'which writes the rules: the one that the network config asks for, or the other where that is not installed; null: neither is',
    ),
});

export const statusShape = z.object({
  healthy: z
    .boolean()
    .describe(
      'ready, and nothing is known that keeps pods from pods of any peer: docs/reference/health.md',
    ),
  notReady: z.string().nullable().describe('why pods can not be reached yet; null: they can'),
  version: text('of weftd'),
  pid: whole('process of weftd'),
  startedAt: time('of this process, by the clock of then'),
  uptimeSeconds: whole('that this process has run, whatever the clock did'),
  node: nodeShape.nullable().describe('null until the underlay is known'),
  backend: z.string().nullable().describe('Backend.Type; null until the network config is read'),
  lease: leaseShape.nullable().describe('null until there is one'),
  mtu: z.int().nullable().describe('for pods, bytes; null until there is a lease'),
  store: storeShape,
  firewall: firewallShape.nullable().describe('null until the rules are wanted'),
  peers: z.object({
    total: whole('nodes that this one sends to, each address family by itself'),
    held: whole('of these, kept for now although their leases disappeared'),
    skipped: whole("leases that can't be used and are not peers; health says why"),
  }),
  reach: reachSummaryShape
    .nullable()
    .describe('what the background echoes say; null where none are sent'),
  health: z.array(warningShape).describe('what has been wrong for some time, the worst first'),
  rates: ratesShape.describe('means of the last seconds; 0 while there is nothing to tell'),
  hardening: hardeningShape.nullable().describe('null early in the start'),
  table: tableShape.nullable().describe('route table in force; null where there is none'),
  ...planeShape.partial().shape,
});
export type StatusPage = z.infer<typeof statusShape>;
