/**
 * Runs beside a weftd, in its namespace: changes leases in its store at a steady rate, and watches the daemon meanwhile.
 *   node load.js JSON (see {@link Load})
 * Prints one JSON line: {@link Figures}.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Etcd3 } from 'etcd3';
import { leaseValue } from '../../lab/lease-file.ts';
import { cpuSeconds } from '../gauges.ts';

export interface Load {
  store: { kind: 'etcd'; endpoint: string; prefix: string } | { kind: 'file'; folder: string };
  /** leases before the changes begin; of a file store they are there already */
  leases: number;
  changesPerSecond: number;
  /** how long the daemon is only watched, and how many single changes are followed after that */
  seconds: number;
  probes: number;
  adminSocket: string;
  healthPort: number;
  pid: number;
}

/** Times in ms, one for each measurement. */
export interface Figures {
  /** from the first write to all leases in force; of a file store from the daemon's start */
  syncMs: number;
  changesPerSecond: number;
  /** of one core, while changes went on, and while health was asked besides, 20 times a second */
  cpuShare: number;
  askedCpuShare: number;
  /** of one core, before that: what it takes to have so many peers */
  idleCpuShare: number;
  /** how long the store took to write a new lease, beside all the other writes */
  writeMs: number[];
  /** from the store's answer to that until the daemon counts it among its peers; a change that nobody has written can't be followed */
  inForceMs: number[];
  healthMs: number[];
  peakMemoryMb: number;
}

const OPS_PER_TXN = 100;
/** A store that is slower than the wanted rate is not asked for more at once. */
const WRITES_MAX = 32;
const SYNC_MS_MAX = 120_000;
const SEEN_MS_MAX = 30_000;
const HEALTH_EVERY_MS = 50;
/** Leases from here on are those that are followed. */
const PROBES_FROM = 60_000;
/** New peers are looked at once, all of them. */
const SETTLE_MS = 10_000;
const IDLE_S = 5;

const load = JSON.parse(process.argv[2] ?? '') as Load;
const agent = new http.Agent({ keepAlive: true });
const client = load.store.kind === 'etcd' ? new Etcd3({ hosts: load.store.endpoint }) : undefined;

function keyOf(i: number): string {
  return `10.${128 + ((i >> 9) & 127)}.${(i >> 1) & 255}.${(i & 1) * 128}-25`;
}

function leaseOf(i: number, change: number): string {
  const hex = (byte: number): string => (byte & 255).toString(16).padStart(2, '0');
  const vtepMac = `02:00:${hex(change >> 8)}:${hex(change)}:${hex(i >> 8)}:${hex(i)}`;
  return leaseValue({ publicIp: `198.18.${(i >> 8) & 255}.${i & 255}`, vtepMac });
}

/** Written as each store's own writers do it: a file is never seen half. */
async function put(from: number, count: number, change: number): Promise<void> {
  const all = Array.from({ length: count }, (_, n) => from + n);
  const { store } = load;
  if (store.kind === 'file') {
    for (const i of all) {
      const draft = path.join(store.folder, `.draft-bench-${i}`);
      writeFileSync(draft, leaseOf(i, change));
      renameSync(draft, path.join(store.folder, 'subnets', keyOf(i)));
    }
    return;
  }
  const success = all.map((i) => ({
    request_put: {
      key: Buffer.from(`${store.prefix}/subnets/${keyOf(i)}`),
      value: Buffer.from(leaseOf(i, change)),
    },
  }));
  await client?.kv.txn({ compare: [], success, failure: [] });
}

function get(options: http.RequestOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    http
      .get({ agent, ...options }, (response) => {
        let body = '';
        response.on('data', (data) => (body += data));
        response.on('end', () => resolve(body));
      })
      .on('error', reject);
  });
}

async function peersNow(): Promise<number> {
  const body = await get({ socketPath: load.adminSocket, path: '/status' });
  return (JSON.parse(body) as { peers: { total: number } }).peers.total;
}

async function untilPeers(count: number, limitMs: number, everyMs: number): Promise<void> {
  const deadline = performance.now() + limitMs;
  while ((await peersNow()) < count) {
    if (performance.now() > deadline) throw new Error(`${count} peers are not in force in time`);
    await sleep(everyMs);
  }
}

function peakMemoryMb(): number {
  const status = readFileSync(`/proc/${load.pid}/status`, 'utf8');
  return Math.round(Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1]) / 1024);
}

/** One lease after the other gets another MAC, in steps of 20 ms, until the signal aborts. Returns how many did. */
async function churn(signal: AbortSignal): Promise<number> {
  const startedMs = performance.now();
  let done = 0;
  const writing = new Set<Promise<void>>();
  while (!signal.aborted) {
    const due = ((performance.now() - startedMs) / 1000) * load.changesPerSecond;
    while (done < due) {
      // One transaction for those of a step; keys in it differ.
      const from = done % load.leases;
      const count = Math.min(Math.ceil(due - done), OPS_PER_TXN, load.leases - from);
      const write = put(from, count, 1 + Math.floor(done / load.leases));
      done += count;
      writing.add(write);
      void write.finally(() => writing.delete(write)).catch(() => undefined);
      if (writing.size > WRITES_MAX) await Promise.race(writing);
    }
    await sleep(20);
  }
  await Promise.all(writing);
  return done;
}

async function watchHealth(signal: AbortSignal, healthMs: number[]): Promise<void> {
  while (!signal.aborted) {
    const startedMs = performance.now();
    await get({ port: load.healthPort, path: '/healthz', agent: false });
    healthMs.push(performance.now() - startedMs);
    await sleep(HEALTH_EVERY_MS);
  }
}

/** Of one core, from now on. */
async function shareFor(seconds: number): Promise<number> {
  const beganMs = performance.now();
  const before = cpuSeconds(load.pid);
  await sleep(seconds * 1000);
  return (cpuSeconds(load.pid) - before) / ((performance.now() - beganMs) / 1000);
}

async function fill(): Promise<number> {
  const startedMs = performance.now();
  if (load.store.kind === 'etcd')
    for (let from = 0; from < load.leases; from += OPS_PER_TXN)
      await put(from, Math.min(OPS_PER_TXN, load.leases - from), 0);
  await untilPeers(load.leases, SYNC_MS_MAX, 50);
  return performance.now() - startedMs;
}

const syncMs = await fill();
await sleep(SETTLE_MS);
const idleCpuShare = await shareFor(IDLE_S);
const figures: Figures = {
  ...{ syncMs, changesPerSecond: 0, cpuShare: 0, askedCpuShare: 0, idleCpuShare },
  ...{ writeMs: [], inForceMs: [], healthMs: [], peakMemoryMb: 0 },
};
const abort = new AbortController();
const startedMs = performance.now();
const churning = churn(abort.signal);
figures.cpuShare = await shareFor(load.seconds / 2);
const watching = watchHealth(abort.signal, figures.healthMs);
figures.askedCpuShare = await shareFor(load.seconds / 2);
const before = await peersNow();
for (let probe = 0; probe < load.probes; probe++) {
  const beganMs = performance.now();
  await put(PROBES_FROM + probe, 1, 0);
  const writtenMs = performance.now();
  figures.writeMs.push(writtenMs - beganMs);
  await untilPeers(before + probe + 1, SEEN_MS_MAX, 5);
  figures.inForceMs.push(performance.now() - writtenMs);
  await sleep(Math.random() * 100);
}
abort.abort();
const done = await churning;
figures.changesPerSecond = done / ((performance.now() - startedMs) / 1000);
await watching;
figures.peakMemoryMb = peakMemoryMb();
client?.close();
agent.destroy();
process.stdout.write(`${JSON.stringify(figures)}\n`);
