/** weft status: one screen about this node. */
import type { Command } from 'commander';
import { z } from 'zod';
import { DROP_REASONS, type DropName } from '../../shared/drops.ts';
import { fetchPage } from '../client.ts';
import { renderAge, renderBytes } from '../render.ts';
import { addShow, type OnExit } from '../show.ts';
import type { Style } from '../style.ts';

/** A page of its own keys: unknown ones come from a newer daemon and are passed on. */
const statusShape = z.looseObject({
  healthy: z.boolean(),
  version: z.string(),
  startedAt: z.string(),
  notReady: z.string().nullable(),
  node: z
    .object({
      interface: z.string(),
      publicIp: z.string().nullable(),
      publicIpv6: z.string().nullable(),
    })
    .nullable(),
  backend: z.string().nullable(),
  devices: z.array(z.looseObject({ device: z.string(), mtu: z.number() })).optional(),
  lease: z
    .looseObject({ key: z.string(), state: z.string(), expiresAt: z.string().nullable() })
    .nullable(),
  store: z.looseObject({
    name: z.string(),
    ok: z.boolean(),
    message: z.string(),
    lastEventAt: z.string(),
  }),
  firewall: z.object({ ok: z.boolean(), problem: z.string() }).nullable(),
  peers: z.looseObject({ total: z.number(), held: z.number() }),
  offloads: z.array(z.string()).optional(),
  workers: z.array(z.looseObject({ state: z.string(), restarts: z.number() })).optional(),
  counters: z.record(z.string(), z.number()).optional(),
  drops: z
    .object({
      outbound: z.record(z.string(), z.number()),
      inbound: z.record(z.string(), z.number()),
    })
    .optional(),
});
export type Status = z.infer<typeof statusShape>;

export function addStatus(program: Command, onExit: OnExit): void {
  addShow(program, onExit, {
    name: 'status',
    description: 'this node at a glance',
    shape: statusShape,
    answer: ({ adminSocket }) => fetchPage(adminSocket, '/status'),
    render: renderStatus,
    exitCode: ({ healthy }) => (healthy ? 0 : 1),
  });
}

export function renderStatus(status: Status, style: Style, nowMs: number): string {
  const { store } = status;
  const since = (time: string): string => renderAge(nowMs - Date.parse(time));
  const verdict = status.healthy ? style.good('healthy') : style.bad('NOT HEALTHY');
  const lines = [
    `${verdict}   weft ${status.version}, up ${since(status.startedAt)}`,
    ...(status.notReady ? [`not ready ${status.notReady}`] : []),
    `store     ${store.name}: ${store.ok ? 'ok' : style.bad(`AWAY: ${store.message}`)}, last change ${since(store.lastEventAt)} ago`,
    ...(status.lease && status.node ? nodeLines(status, nowMs) : []),
  ];
  return lines.join('\n');
}

/** What there is once the node has a lease. */
function nodeLines(status: Status, nowMs: number): string[] {
  const { node, lease, counters: c = {}, firewall, devices = [], workers = [] } = status;
  const left = (time: string): string => `${renderAge(Date.parse(time) - nowMs)} left`;
  const expiry = lease?.expiresAt == null ? 'permanent' : left(lease.expiresAt);
  const traffic = (packets = 0, bytes = 0): string => `${packets} packets, ${renderBytes(bytes)}`;
  const deviceList = devices.map((d) => `${d.device} mtu ${d.mtu}`).join(', ') || 'none';
  return [
    `node      ${[node?.publicIp, node?.publicIpv6].filter(Boolean).join(', ')} on ${node?.interface}`,
    `lease     ${lease?.key} (${expiry}${lease?.state === 'held' ? '' : `; ${lease?.state?.toUpperCase()}`})`,
    `device    ${deviceList} (${status.backend})`,
    ...(firewall && !firewall.ok ? [`firewall  NOT IN PLACE: ${firewall.problem}`] : []),
    `peers     ${status.peers.total}${status.peers.held > 0 ? ` (${status.peers.held} kept though their leases vanished)` : ''}`,
    ...(workers.length === 0 ? [] : engineLines(status)),
    `sent      ${traffic(c['sentPackets'], c['sentBytes'])}`,
    `received  ${traffic(c['deliveredPackets'], c['deliveredBytes'])}`,
    ...dropLines(status),
  ];
}

function engineLines({ workers = [], offloads = [] }: Status): string[] {
  const states = workers.map(
    (w) => `${w.state}${w.restarts > 0 ? ` (${w.restarts} restarts)` : ''}`,
  );
  return [`workers   ${states.join(', ')}`, `offloads  ${offloads.join(' ') || 'off'}`];
}

function dropLines(status: Status): string[] {
  const all = Object.entries({ ...status.drops?.outbound, ...status.drops?.inbound });
  return all
    .filter(([, count]) => count > 0)
    .sort((a, b) => b[1] - a[1])
    .map(
      ([name, count]) =>
        `dropped   ${count} ${name}: ${DROP_REASONS[name as DropName]?.text ?? ''}`,
    );
}
