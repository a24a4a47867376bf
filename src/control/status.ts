/** The pages of the admin socket: what the daemon knows, as JSON. Their schema is a promise to scripts. */
import { formatAddress, formatMac, formatPrefix } from '../shared/address.ts';
import { programVersion } from '../shared/version.ts';
import type { Pages } from './admin.ts';
import type { Daemon } from './daemon.ts';
import type { Peer } from './peers.ts';

export function pagesOf(daemon: Daemon): Pages {
  const pages: Record<string, (query: URLSearchParams) => unknown> = {
    '/status': () => statusOf(daemon),
    '/peers': () => ({ peers: daemon.peers.map(peerJson) }),
  };
  if (process.env['WEFT_FAULTS'] === '1') {
    pages['/fault'] = (query) => {
      daemon.backend?.failWorker(Number(query.get('worker')));
      return { failed: query.get('worker') };
    };
  }
  return pages;
}

function statusOf(daemon: Daemon): object {
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
    ...plane,
    ...totals,
  };
}

function leaseJson({ lease, state }: NonNullable<Daemon['keeper']>): object {
  const { expiresAtMs } = lease;
  const expiresAt = expiresAtMs === undefined ? null : new Date(expiresAtMs).toISOString();
  return { key: lease.key, state, isPermanent: lease.isPermanent, expiresAt };
}

function peerJson(peer: Peer): object {
  return {
    key: peer.key,
    family: peer.family,
    subnet: formatPrefix(peer.subnet),
    publicIp: formatAddress(peer.address),
    port: peer.port,
    mac: peer.mac.high === 0 && peer.mac.low === 0 ? null : formatMac(peer.mac),
  };
}
