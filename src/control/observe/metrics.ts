/** Prometheus metrics of the daemon. Everything is read when somebody scrapes; nothing is counted twice. */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { BATCH_BOUNDS } from '../../memory/counters.ts';
import { programVersion } from '../../shared/version.ts';
import type { BackendStatus } from '../backend/backend.ts';
import type { Node } from '../node.ts';
import { KeptHistogram } from './kept-histogram.ts';
import type { SelfWatch } from './self-watch.ts';

/** How often the control thread's lag is looked at: each look wakes it. */
const LAG_STEP_MS = 50;

/** What a scrape gets. */
export interface Exposition {
  contentType: string;
  text: string;
}

/** The node's metrics; each call is one scrape. */
export function metricsOf(node: Node, watch: SelfWatch): () => Promise<Exposition> {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LAG_STEP_MS });
  addState(registry, node);
  addReach(registry, node);
  gauge(registry, 'weft_healthy', '1 when weft status says healthy.', () =>
    Number(watch.isHealthy()),
  );
  addTable(registry, () => node.backend?.status());
  addLease(registry, node);
  addWorkers(registry, () => node.backend?.status());
  addTraffic(registry, () => node.backend?.status());
  return async () => ({ contentType: registry.contentType, text: await registry.metrics() });
}

/** A gauge that is read when scraped; undefined leaves it out. */
function gauge(
  registry: Registry,
  name: string,
  help: string,
  read: () => number | undefined,
): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      const value = read();
      if (value === undefined) this.remove();
      else this.set(value);
    },
  });
}

function addState(registry: Registry, node: Node): void {
  new Gauge({
    name: 'weft_info',
    help: 'Version and backend; always 1.',
    labelNames: ['version', 'backend', 'store'],
    registers: [registry],
    collect() {
      const backend = node.config?.backend.type ?? 'none';
      const [store = ''] = node.registry.name.split(/[ :]/);
      this.reset();
      this.set({ version: programVersion(), backend, store }, 1);
    },
  });
  gauge(registry, 'weft_ready', '1 when /readyz says ready.', () =>
    node.whyNotReady() === '' ? 1 : 0,
  );
  gauge(
    registry,
    'weft_store_up',
    '1 when the last call to the store succeeded; 0 before the first.',
    () => (node.store.ok ? 1 : 0),
  );
  gauge(
    registry,
    'weft_store_last_list_timestamp_seconds',
    'When the store last told the leases.',
    () => node.store.lastEventAt && node.store.lastEventAt.getTime() / 1000,
  );
  gauge(
    registry,
    'weft_from_memory',
    '1 while the node, which started without its store, forwards by what it remembers.',
    () => (node.registry.rememberedAtMs === undefined ? 0 : 1),
  );
  gauge(
    registry,
    'weft_memory_timestamp_seconds',
    'When the store said last what the node forwards by; only while it does so from memory.',
    () => node.registry.rememberedAtMs && node.registry.rememberedAtMs / 1000,
  );
  counter(
    registry,
    'weft_store_lists_total',
    "Lists of leases that the store's watch delivered.",
    [],
    () => [[{}, node.storeCounts.lists]],
  );
  counter(
    registry,
    'weft_store_failures_total',
    'Times that the watch of the store failed and was begun anew.',
    [],
    () => [[{}, node.storeCounts.failures]],
  );
  gauge(registry, 'weft_peers', 'Peers in the route table.', () => node.peerCount);
  gauge(
    registry,
    'weft_peers_held',
    'Of these, kept although their leases disappeared.',
    () => node.held,
  );
  gauge(registry, 'weft_firewall_ok', '1 when the firewall rules are in place.', () => {
    const { firewall } = node.problems;
    return firewall === undefined ? undefined : Number(firewall === '');
  });
}

function addReach(registry: Registry, node: Node): void {
  const summary = () => node.reach?.summary();
  gauge(
    registry,
    'weft_peers_reachable',
    'Peers that answer echoes through the overlay; absent where none are sent.',
    () => summary()?.reachable,
  );
  gauge(
    registry,
    'weft_peers_unreachable',
    'Peers of which three echoes in a row were lost; absent where none are sent.',
    () => summary()?.silent.length,
  );
  gauge(
    registry,
    'weft_leases_skipped',
    "Leases that can't be used and are not peers.",
    () => node.skipped.length,
  );
}

function addTable(registry: Registry, status: () => BackendStatus | undefined): void {
  gauge(
    registry,
    'weft_table_generation',
    'Publications of the route table since its workers were set up.',
    () => status()?.table?.generation,
  );
  gauge(
    registry,
    'weft_table_published_timestamp_seconds',
    'When the route table in force was published.',
    () => {
      const table = status()?.table;
      return table ? Date.parse(table.publishedAt) / 1000 : undefined;
    },
  );
}

function addLease(registry: Registry, node: Node): void {
  gauge(
    registry,
    'weft_lease_expiry_timestamp_seconds',
    'When the lease ends unless it is renewed; absent for a reservation.',
    () => {
      const expiresAtMs = node.lease?.lease.expiresAtMs;
      return expiresAtMs === undefined ? undefined : expiresAtMs / 1000;
    },
  );
  gauge(
    registry,
    'weft_lease_held',
    '1 when the lease in the store is ours.',
    () => node.lease && (node.lease.state === 'held' ? 1 : 0),
  );
  counter(
    registry,
    'weft_lease_renewals_total',
    'Attempts to renew or rewrite the lease.',
    ['result'],
    () => Object.entries(node.lease?.renewals ?? {}).map(([result, n]) => [{ result }, n]),
  );
}

function addWorkers(registry: Registry, status: () => BackendStatus | undefined): void {
  new Gauge({
    name: 'weft_worker_up',
    help: '1 when the worker runs and its heartbeat moves.',
    labelNames: ['worker'],
    registers: [registry],
    collect() {
      for (const [i, { state }] of (status()?.workers ?? []).entries())
        this.set({ worker: String(i) }, state === 'running' ? 1 : 0);
    },
  });
  counter(registry, 'weft_worker_restarts_total', 'Restarts of a worker.', ['worker'], () =>
    (status()?.workers ?? []).map(({ restarts }, i) => [{ worker: String(i) }, restarts]),
  );
  counter(
    registry,
    'weft_worker_breaths_total',
    'Turns of a worker: at most one batch each way.',
    ['worker'],
    () => (status()?.workers ?? []).map(({ breaths }, i) => [{ worker: String(i) }, breaths]),
  );
  counter(
    registry,
    'weft_worker_wait_seconds_total',
    'Time that a worker waited for packets, asleep or looking; the rest it worked.',
    ['worker'],
    () => (status()?.workers ?? []).map(({ waitNs }, i) => [{ worker: String(i) }, waitNs / 1e9]),
  );
  new Gauge({
    name: 'weft_offload_enabled',
    help: 'Offloads that every worker uses; those not in use are absent.',
    labelNames: ['offload'],
    registers: [registry],
    collect() {
      this.reset();
      for (const offload of status()?.offloads ?? []) this.set({ offload }, 1);
    },
  });
}

type Labels = Record<string, string>;

/** A counter whose totals are kept elsewhere. */
function counter(
  registry: Registry,
  name: string,
  help: string,
  labelNames: readonly string[],
  read: () => (readonly [Labels, number])[],
): void {
  new Counter({
    name,
    help,
    labelNames: [...labelNames],
    registers: [registry],
    collect() {
      this.reset();
      for (const [labels, value] of read()) this.inc(labels, value);
    },
  });
}

function addFastPath(registry: Registry, status: () => BackendStatus | undefined): void {
  const found = () => status()?.shortcuts.find(({ name }) => name === 'fastPath');
  gauge(registry, 'weft_fast_path', '1 while the kernel carries what it may (--fast-path).', () => {
    const fastPath = found();
    return fastPath && Number(fastPath.why === '');
  });
  const help = 'Peers whose packets the kernel carries past the workers.';
  gauge(registry, 'weft_fast_path_peers', help, () => found()?.peers);
  for (const [what, outbound, inbound] of [
    ['packets', 'sentPackets', 'deliveredPackets'],
    ['bytes', 'sentBytes', 'deliveredBytes'],
  ] as const)
    counter(
      registry,
      `weft_fast_path_${what}_total`,
      `Of weft_forwarded_${what}_total, what the kernel carried past the workers.`,
      ['direction'],
      () => {
        const counters = status()?.pastWorkers.counters;
        if (!counters) return [];
        return [
          [{ direction: 'outbound' }, counters[outbound]],
          [{ direction: 'inbound' }, counters[inbound]],
        ];
      },
    );
}

const DIRECTIONS = ['outbound', 'inbound'] as const;

function addTraffic(registry: Registry, status: () => BackendStatus | undefined): void {
  const both = (outbound: string, inbound: string) => (): (readonly [Labels, number])[] => {
    const totals = status()?.totals;
    if (!totals) return [];
    const all: Record<string, number> = { ...totals.counters, ...totals.stats };
    return [
      [{ direction: 'outbound' }, all[outbound] ?? 0],
      [{ direction: 'inbound' }, all[inbound] ?? 0],
    ];
  };
  const add = (name: string, help: string, outbound: string, inbound: string): void =>
    counter(registry, name, help, ['direction'], both(outbound, inbound));
  const arrived = 'from the TUN (outbound) or the underlay (inbound)';
  const left = 'to the underlay (outbound) or the TUN (inbound)';
  add('weft_received_packets_total', `Packets ${arrived}.`, 'outPackets', 'inPackets');
  add('weft_received_bytes_total', `Bytes of packets ${arrived}.`, 'outBytes', 'inBytes');
  addFastPath(registry, status);
  counter(
    registry,
    'weft_congestion_marks_total',
    'Packets of bulk TCP that got a congestion mark because a queue here was never empty while others waited.',
    [],
    () => {
      const marks = status()?.totals.counters.congestionMarks;
      return marks === undefined ? [] : [[{}, marks]];
    },
  );
  counter(
    registry,
    'weft_udp_socket_drops_total',
    'Datagrams that the kernel dropped because the receive buffer was full.',
    [],
    () => {
      const drops = status()?.totals.stats.udpSocketDrops;
      return drops === undefined ? [] : [[{}, drops]];
    },
  );
  add('weft_forwarded_packets_total', `Packets ${left}.`, 'sentPackets', 'deliveredPackets');
  add('weft_forwarded_bytes_total', `Bytes of packets ${left}.`, 'sentBytes', 'deliveredBytes');
  add(
    'weft_udp_messages_total',
    'Messages through UDP sockets.',
    'udpMessagesOut',
    'udpMessagesIn',
  );
  add('weft_udp_calls_total', 'System calls on UDP sockets.', 'udpSendCalls', 'udpReceiveCalls');
  add('weft_tun_calls_total', 'System calls on the TUN.', 'tunReads', 'tunWrites');
  new KeptHistogram(
    registry,
    'weft_batch_packets',
    'Packets of a batch from the TUN (outbound) or the UDP socket (inbound); batches without any are left out.',
    BATCH_BOUNDS,
    () => {
      const { totals, pastWorkers } = status() ?? {};
      const sumOf = (name: 'outPackets' | 'inPackets'): number | undefined =>
        totals && totals.counters[name] - (pastWorkers?.counters[name] ?? 0);
      const { outbound, inbound } = totals?.batches ?? {};
      return [
        { labels: { direction: 'outbound' }, counts: outbound, sum: sumOf('outPackets') },
        { labels: { direction: 'inbound' }, counts: inbound, sum: sumOf('inPackets') },
      ];
    },
  );
  counter(
    registry,
    'weft_dropped_packets_total',
    'Packets not forwarded, by reason (docs/reference/drops.md).',
    ['direction', 'reason'],
    () => {
      const drops = status()?.totals.drops;
      return DIRECTIONS.flatMap((direction) =>
        Object.entries(drops?.[direction] ?? {}).map(
          ([reason, count]) => [{ direction, reason }, count] as const,
        ),
      );
    },
  );
}
