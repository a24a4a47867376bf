/** /status: this node at a glance. */
import type { FastPathState, Plane, StatusPage, TunnelGso } from '../../../api/status.ts';
import type { HeldLease, OwnObject } from '../../../cluster/registry.ts';
import type { ExternalInterface } from '../../../host/external-interface.ts';
import { formatAddress } from '../../../shared/address.ts';
import { programVersion } from '../../../shared/version.ts';
import type { BackendStatus } from '../../backend/backend.ts';
import type { Node } from '../../node.ts';
import type { SelfWatch } from '../../observe/self-watch.ts';
import type { ShortcutSummary } from '../../plane/shortcut.ts';

export function statusPage(node: Node, watch: SelfWatch): StatusPage {
  const { external, config, lease, backend, problems, firewallKind } = node;
  const notReady = node.whyNotReady();
  const plane = backend?.status();
  return {
    healthy: watch.isHealthy(),
    notReady: notReady || null,
    version: programVersion(),
    pid: process.pid,
    startedAt: node.startedAt.toISOString(),
    uptimeSeconds: Math.floor(process.uptime()),
    node: external ? nodeJson(external) : null,
    backend: config?.backend.type ?? null,
    lease: lease ? leaseJson(lease) : null,
    mtu: lease ? (backend?.podMtu() ?? null) : null,
    store: storeJson(node),
    firewall:
      problems.firewall === undefined
        ? null
        : { ok: problems.firewall === '', problem: problems.firewall, kind: firewallKind ?? null },
    peers: { total: node.peerCount, held: node.held, skipped: node.skipped.length },
    reach: reachJson(node),
    health: watch.warnings(),
    rates: watch.history.recent(),
    hardening: node.hardening ?? null,
    table: plane?.table ?? null,
    ...(plane && planeJson(plane, node)),
  };
}

function nodeJson({ name, public4, public6 }: ExternalInterface): StatusPage['node'] {
  return {
    interface: name,
    publicIp: public4 ? formatAddress(public4) : null,
    publicIpv6: public6 ? formatAddress(public6) : null,
  };
}

function storeJson({ registry, store }: Node): StatusPage['store'] {
  const { rememberedAtMs } = registry;
  return {
    name: registry.name,
    ok: store.ok,
    message: store.message,
    since: store.since.toISOString(),
    lastEventAt: store.lastEventAt?.toISOString() ?? null,
    rememberedAt: rememberedAtMs === undefined ? null : new Date(rememberedAtMs).toISOString(),
    kubernetes: registry.ownObject ? ownObjectJson(registry.ownObject) : null,
  };
}

function ownObjectJson(own: OwnObject): StatusPage['store']['kubernetes'] {
  const { server, name, podCidrs, isAnnotated, problem, forbidden } = own;
  return {
    server,
    nodeName: name ?? null,
    podCidrs: [...podCidrs],
    annotated: isAnnotated,
    problem,
    forbidden: [...forbidden],
  };
}

function leaseJson({ lease, state }: HeldLease): StatusPage['lease'] {
  const { expiresAtMs } = lease;
  const expiresAt = expiresAtMs === undefined ? null : new Date(expiresAtMs).toISOString();
  return { key: lease.key, state, isPermanent: lease.isPermanent, expiresAt };
}

function reachJson({ reach }: Node): StatusPage['reach'] {
  const summary = reach?.summary();
  if (!summary) return null;
  const { reachable, unknown, silent, rttMs } = summary;
  return { reachable, unreachable: silent.length, unknown, rttMs: rttMs ?? null };
}

function planeJson(status: BackendStatus, node: Node): Plane {
  const { devices, offloads, shortcuts, workers, totals } = status;
  const { counters, stats, batches, drops } = totals;
  const tunnelGso = tunnelGsoJson(shortcuts);
  const fastPath = fastPathJson(status, node);
  return { devices, offloads, tunnelGso, fastPath, workers, counters, stats, batches, drops };
}

function fastPathJson(
  { shortcuts, pastWorkers }: BackendStatus,
  { settings, config }: Node,
): FastPathState {
  const found = shortcuts.find(({ name }) => name === 'fastPath');
  const { sentPackets, sentBytes, deliveredPackets, deliveredBytes } = pastWorkers.counters;
  const without =
    settings.fastPath === 'off' ? '--fast-path=off' : `backend ${config?.backend.type} has none`;
  const why = found ? (found.why ?? '') : without;
  return {
    on: why === '',
    why,
    peers: found?.peers ?? 0,
    egress: [...(found?.egress ?? [])],
    counters: { sentPackets, sentBytes, deliveredPackets, deliveredBytes },
  };
}

/** null where it is off or this host can't have it. */
function tunnelGsoJson(shortcuts: readonly ShortcutSummary[]): TunnelGso | null {
  const found = shortcuts.find(({ name }) => name === 'tunnelGso');
  return found ? { device: found.device, egress: [...found.egress] } : null;
}
