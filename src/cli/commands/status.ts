/** weft status: one screen about this node. */
import { DROP_REASONS, type DropName } from '../../shared/drops.ts';
import { renderAge, renderBytes } from '../render.ts';

interface Status {
  healthy: boolean;
  version: string;
  startedAt: string;
  notReady: string | null;
  node: { interface: string; publicIp: string | null; publicIpv6: string | null } | null;
  backend: string | null;
  devices: { device: string; mtu: number }[];
  lease: { key: string; state: string; expiresAt: string | null } | null;
  store: { name: string; ok: boolean; message: string; lastEventAt: string };
  firewall: { ok: boolean; problem: string } | null;
  peers: { total: number; held: number };
  offloads: string[];
  workers: { state: string; restarts: number }[];
  counters: Record<string, number>;
  drops: { outbound: Record<string, number>; inbound: Record<string, number> };
}

export function renderStatus(
  page: Record<string, unknown>,
  nowMs: number,
): { text: string; healthy: boolean } {
  const status = page as unknown as Status;
  const { store } = status;
  const since = (time: string): string => renderAge(nowMs - Date.parse(time));
  const lines = [
    `${status.healthy ? 'healthy' : 'NOT HEALTHY'}   weft ${status.version}, up ${since(status.startedAt)}`,
    ...(status.notReady ? [`not ready ${status.notReady}`] : []),
    `store     ${store.name}: ${store.ok ? 'ok' : `AWAY: ${store.message}`}, last change ${since(store.lastEventAt)} ago`,
    ...(status.lease && status.node ? nodeLines(status, nowMs) : []),
  ];
  return { text: lines.join('\n'), healthy: status.healthy };
}

/** What there is once the node has a lease. */
function nodeLines(status: Status, nowMs: number): string[] {
  const { node, lease, counters: c, firewall } = status;
  const left = (time: string): string => `${renderAge(Date.parse(time) - nowMs)} left`;
  const expiry = lease?.expiresAt == null ? 'permanent' : left(lease.expiresAt);
  const traffic = (packets = 0, bytes = 0): string => `${packets} packets, ${renderBytes(bytes)}`;
  const devices = status.devices.map((d) => `${d.device} mtu ${d.mtu}`).join(', ') || 'none';
  return [
    `node      ${[node?.publicIp, node?.publicIpv6].filter(Boolean).join(', ')} on ${node?.interface}`,
    `lease     ${lease?.key} (${expiry}${lease?.state === 'held' ? '' : `; ${lease?.state?.toUpperCase()}`})`,
    `device    ${devices} (${status.backend})`,
    ...(firewall && !firewall.ok ? [`firewall  NOT IN PLACE: ${firewall.problem}`] : []),
    `peers     ${status.peers.total}${status.peers.held > 0 ? ` (${status.peers.held} kept though their leases vanished)` : ''}`,
    ...(status.workers.length === 0 ? [] : engineLines(status)),
    `sent      ${traffic(c['sentPackets'], c['sentBytes'])}`,
    `received  ${traffic(c['deliveredPackets'], c['deliveredBytes'])}`,
    ...dropLines(status),
  ];
}

function engineLines({ workers, offloads }: Status): string[] {
  const states = workers.map(
    (w) => `${w.state}${w.restarts > 0 ? ` (${w.restarts} restarts)` : ''}`,
  );
  return [`workers   ${states.join(', ')}`, `offloads  ${offloads.join(' ') || 'off'}`];
}

function dropLines(status: Status): string[] {
  const all = Object.entries({ ...status.drops.outbound, ...status.drops.inbound });
  return all
    .filter(([, count]) => count > 0)
    .sort((a, b) => b[1] - a[1])
    .map(
      ([name, count]) =>
        `dropped   ${count} ${name}: ${DROP_REASONS[name as DropName]?.text ?? ''}`,
    );
}
