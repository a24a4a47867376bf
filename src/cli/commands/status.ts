/** weft status: one screen about this node. */
import { DROP_REASONS, type DropName } from '../../shared/drops.ts';
import { renderAge, renderBytes } from '../render.ts';

interface Status {
  healthy: boolean;
  version: string;
  startedAt: string;
  node: { interface: string; publicIp: string | null; publicIpv6: string | null };
  backend: string;
  devices: { device: string; mtu: number }[];
  lease: { key: string; expiresAt: string | null };
  store: { name: string; ok: boolean; message: string; lastEventAt: string };
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
  const { node, lease, store, counters: c } = status;
  const since = (time: string): string => renderAge(nowMs - Date.parse(time));
  const expiry =
    lease.expiresAt === null
      ? 'permanent'
      : `${renderAge(Date.parse(lease.expiresAt) - nowMs)} left`;
  const traffic = (packets = 0, bytes = 0): string => `${packets} packets, ${renderBytes(bytes)}`;
  const lines = [
    `${status.healthy ? 'healthy' : 'NOT HEALTHY'}   weft ${status.version}, up ${since(status.startedAt)}`,
    `node      ${[node.publicIp, node.publicIpv6].filter(Boolean).join(', ')} on ${node.interface}`,
    `lease     ${lease.key} (${expiry})`,
    `device    ${status.devices.map((d) => `${d.device} mtu ${d.mtu}`).join(', ')} (${status.backend})`,
    `store     ${store.name}: ${store.ok ? 'ok' : `AWAY: ${store.message}`}, last change ${since(store.lastEventAt)} ago`,
    `peers     ${status.peers.total}${status.peers.held > 0 ? ` (${status.peers.held} kept though their leases vanished)` : ''}`,
    `workers   ${status.workers.map((w) => `${w.state}${w.restarts > 0 ? ` (${w.restarts} restarts)` : ''}`).join(', ')}`,
    `offloads  ${status.offloads.join(' ') || 'off'}`,
    `sent      ${traffic(c['sentPackets'], c['sentBytes'])}`,
    `received  ${traffic(c['deliveredPackets'], c['deliveredBytes'])}`,
    ...dropLines(status),
  ];
  return { text: lines.join('\n'), healthy: status.healthy };
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
