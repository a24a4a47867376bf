/** /peers: the nodes this one sends to, and the traffic with each. A dual-stack node is two peers. */
import * as z from 'zod';
import { amount, family, nodeName, text, time, whole } from './values.ts';

export const peerShape = z.object({
  key: text('of its lease: 10.244.2.0-24'),
  nodeName,
  family,
  subnet: text('of its pods: 10.244.2.0/24'),
  publicIp: text('its address in the underlay'),
  port: whole('UDP; 0 where nothing is encapsulated'),
  mac: z.string().nullable().describe('VTEP MAC; null where the wire carries none'),
  sentPackets: amount('to it; 0 where the kernel carries the packets'),
  sentBytes: amount('of these packets, inside of the encapsulation'),
  receivedPackets: amount('from it'),
  receivedBytes: amount('of these packets'),
  lastHeardAt: time('the newest packet from it; null: none since it is a peer').nullable(),
  reach: z
    .enum(['ok', 'lost', 'unknown'])
    .describe(
      'lost: three echoes in a row · unknown: just learned of and not answered yet, or no echoes are sent',
    ),
  rttMs: z.number().nullable().describe('of the newest echo; null: no answer, or none was sent'),
  lossRatio: z.number().nullable().describe('of the last ten echoes, 0 to 1; null: none was sent'),
});
export type PeerEntry = z.infer<typeof peerShape>;

export const skippedShape = z.object({
  key: text('of the lease'),
  nodeName,
  why: text('it is not a peer'),
});

export const peersShape = z.object({
  peers: z.array(peerShape),
  skipped: z
    .array(skippedShape)
    .optional()
    .describe("leases that can't be used; older daemons do not list them"),
});
export type PeersPage = z.infer<typeof peersShape>;
