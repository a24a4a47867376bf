/** /status: this node at a glance. */
import { formatAddress } from '../../../shared/address.ts';
import { programVersion } from '../../../shared/version.ts';
import type { Daemon } from '../../daemon.ts';

export function statusPage(daemon: Daemon): object {
  const { external, config, keeper, backend, store, storeState } = daemon;
  const notReady = daemon.whyNotReady();
  const { totals, ...plane } = backend?.status() ?? { totals: {} };
  return {
    healthy: notReady === '' && storeState.ok,
    notReady: notReady || null,
    version: programVersion(),
    pid: process.pid,
    startedAt: daemon.startedAt.toISOString(),
    node: external
      ? {
          interface: external.name,
          publicIp: external.public4 ? formatAddress(external.public4) : null,
          publicIpv6: external.public6 ? formatAddress(external.public6) : null,
        }
      : null,
    backend: config?.backend.type ?? null,
    lease: keeper ? leaseJson(keeper) : null,
    mtu: keeper ? (backend?.podMtu() ?? null) : null,
    store: { name: store.name, ...storeState, lastEventAt: storeState.lastEventAt.toISOString() },
    firewall: daemon.rules
      ? { ok: daemon.rules.problem === '', problem: daemon.rules.problem }
      : null,
    peers: { total: daemon.peers.length, held: daemon.held },
    health: daemon.watch.warnings(),
    rates: daemon.watch.history.recent(),
    table: null,
    ...plane,
    ...totals,
  };
}

function leaseJson({ lease, state }: NonNullable<Daemon['keeper']>): object {
  const { expiresAtMs } = lease;
  const expiresAt = expiresAtMs === undefined ? null : new Date(expiresAtMs).toISOString();
  return { key: lease.key, state, isPermanent: lease.isPermanent, expiresAt };
}
