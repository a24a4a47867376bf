/** /status: this node at a glance. */
import type { HeldLease } from '../../../cluster/registry.ts';
import { formatAddress } from '../../../shared/address.ts';
import { programVersion } from '../../../shared/version.ts';
import type { Node } from '../../node.ts';
import type { SelfWatch } from '../../observe/self-watch.ts';
import type { ShortcutSummary } from '../../plane/shortcut.ts';

export function statusPage(node: Node, watch: SelfWatch): object {
  const { external, config, lease, backend, registry, store, problems } = node;
  const notReady = node.whyNotReady();
  const status = backend?.status();
  const { totals, shortcuts, ...plane } = status ?? { totals: {}, shortcuts: [] };
  return {
    healthy: notReady === '' && store.ok,
    notReady: notReady || null,
    version: programVersion(),
    pid: process.pid,
    startedAt: node.startedAt.toISOString(),
    node: external
      ? {
          interface: external.name,
          publicIp: external.public4 ? formatAddress(external.public4) : null,
          publicIpv6: external.public6 ? formatAddress(external.public6) : null,
        }
      : null,
    backend: config?.backend.type ?? null,
    lease: lease ? leaseJson(lease) : null,
    mtu: lease ? (backend?.podMtu() ?? null) : null,
    store: { name: registry.name, ...store, lastEventAt: store.lastEventAt.toISOString() },
    firewall:
      problems.firewall === undefined
        ? null
        : { ok: problems.firewall === '', problem: problems.firewall },
    peers: { total: node.peers.length, held: node.held },
    health: watch.warnings(),
    rates: watch.history.recent(),
    table: null,
    ...plane,
    ...(status && { tunnelGso: tunnelGsoJson(shortcuts) }),
    ...totals,
  };
}

function leaseJson({ lease, state }: HeldLease): object {
  const { expiresAtMs } = lease;
  const expiresAt = expiresAtMs === undefined ? null : new Date(expiresAtMs).toISOString();
  return { key: lease.key, state, isPermanent: lease.isPermanent, expiresAt };
}

/** null where it is off or this host can't have it. */
function tunnelGsoJson(shortcuts: readonly ShortcutSummary[]): object | null {
  const found = shortcuts.find(({ name }) => name === 'tunnelGso');
  return found ? { device: found.device, egress: found.egress } : null;
}
