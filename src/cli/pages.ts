/**
 * The daemon's pages as `weft` reads them: the shapes of src/api, less what it can do without, so that a daemon of another version
 * can be looked at too. A shape only checks: keys that it does not have are passed on (show.ts).
 */
import * as z from 'zod';
import { peerShape, peersShape as wholePeersShape } from '../api/peers.ts';
import {
  deviceShape,
  firewallShape,
  leaseShape,
  nodeShape,
  storeShape,
  statusShape as wholeStatusShape,
  workerShape,
} from '../api/status.ts';

export const statusShape = wholeStatusShape
  .partial({
    ...{ pid: true, uptimeSeconds: true, mtu: true },
    ...{ health: true, rates: true, hardening: true, table: true, reach: true },
  })
  .extend({
    peers: wholeStatusShape.shape.peers.partial({ skipped: true }),
    lease: leaseShape.partial({ isPermanent: true }).nullable(),
    store: storeShape.partial({ since: true, rememberedAt: true, kubernetes: true }),
    firewall: firewallShape.partial({ kind: true }).nullable(),
    devices: z.array(deviceShape.partial({ family: true, mac: true })).optional(),
    workers: z.array(workerShape.partial().required({ state: true, restarts: true })).optional(),
  });
export type Status = z.infer<typeof statusShape>;

/** Of this node's pods, for people. A lease's key names them, but for Kubernetes, where it names the node. */
export function subnetsOf({ store, lease }: Pick<Status, 'store' | 'lease'>): string {
  if (store.kubernetes) return store.kubernetes.podCidrs.join(', ');
  return (lease?.key ?? '').replaceAll('-', '/').replace('&', ', ');
}

/** How long the daemon has run. A clock that was set meanwhile makes nonsense of the time of its start. */
export function uptimeMsOf({ uptimeSeconds, startedAt }: Status, nowMs: number): number {
  if (uptimeSeconds !== undefined) return uptimeSeconds * 1000;
  return Math.max(0, nowMs - Date.parse(startedAt));
}

/** /status of a node that is up: what a test through the overlay needs of it. */
export const upShape = z.object({
  node: nodeShape,
  backend: z.string(),
  devices: z.array(deviceShape.pick({ device: true })),
  lease: leaseShape.pick({ key: true }),
  mtu: z.number(),
});
export type UpStatus = z.infer<typeof upShape>;

export const peersShape = z.object({
  skipped: wholePeersShape.shape.skipped,
  peers: z.array(peerShape.partial({ reach: true, rttMs: true, lossRatio: true })),
});
export type PeersPage = z.infer<typeof peersShape>;

/** What a peer may be called, and where it is. */
export const namedPeersShape = z.object({
  peers: z.array(
    peerShape.pick({ key: true, nodeName: true, family: true, subnet: true, publicIp: true }),
  ),
});
export type NamedPeers = z.infer<typeof namedPeersShape>;

/** Traffic and reachability of peers, as far as they are known. */
export const peerFactsShape = z.object({
  peers: z.array(peerShape.partial().required({ key: true, subnet: true, publicIp: true })),
});
export type PeerFacts = z.infer<typeof peerFactsShape>['peers'][number];
