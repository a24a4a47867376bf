/**
 * Plays many nodes of a cluster on a real etcd, in etcd's own namespace: each has its key, its value and its lease, as flannel's has.
 *   node generator.js JSON (see {@link Order})
 * Prints one JSON line when all is written: {@link Written}.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Etcd3 } from 'etcd3';
import { fleetKey, fleetValue, LEASE_SECONDS } from './node.ts';

export interface Order {
  endpoints: readonly string[];
  /** of the keys */
  prefix: string;
  /** put: they come, or change their VTEP MAC · delete: they go · watch: `count` watchers on all keys while `writes` keys change ·
   * list: all keys are read so many times, in pages */
  what: 'put' | 'delete' | 'watch' | 'list';
  /** numbers of the nodes: from, from + 1 … */
  from: number;
  count: number;
  /** which MAC they have */
  change: number;
  /** 0: as fast as etcd takes it */
  perSecond: number;
  /** with "watch" */
  writes?: number;
}

export interface Written {
  /** unix time, ms */
  startedAtMs: number;
  endedAtMs: number;
}

const TOGETHER = 64;
const PAGE_KEYS = 1_000;
const RETRY_MS = 100;
const TRIES_MAX = 300;

const order = JSON.parse(process.argv[2] ?? '') as Order;
const folder = `${order.prefix}/subnets/`;
const client = new Etcd3({ hosts: [...order.endpoints] });

/** A node tries until etcd takes it: one that has no leader refuses. */
async function untilTaken(work: () => Promise<unknown>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await work();
      return;
    } catch (error) {
      if (tries === TRIES_MAX) throw error;
      await sleep(RETRY_MS);
    }
  }
}

async function put(i: number): Promise<void> {
  const { ID } = await client.leaseClient.leaseGrant({ TTL: LEASE_SECONDS });
  await client.kv.put({
    key: Buffer.from(folder + fleetKey(i)),
    value: Buffer.from(fleetValue(i, order.change)),
    lease: ID,
  });
}

async function remove(i: number): Promise<void> {
  await client.kv.deleteRange({ key: Buffer.from(folder + fleetKey(i)) });
}

/** All of them in order, at the rate that was asked for, so many at once. */
async function each(
  count: number,
  perSecond: number,
  work: (n: number) => Promise<void>,
): Promise<void> {
  const startedMs = performance.now();
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      const n = next++;
      const dueMs = perSecond === 0 ? 0 : startedMs + (n / perSecond) * 1000;
      const earlyMs = dueMs - performance.now();
      if (earlyMs > 0) await sleep(earlyMs);
      await untilTaken(() => work(n));
    }
  };
  await Promise.all(Array.from({ length: Math.min(TOGETHER, count) }, worker));
}

/** What every node of a cluster does all the time: it follows all keys. Ends when each watcher has seen every write. */
async function watch(): Promise<void> {
  const { count, writes = 0, from } = order;
  let seen = 0;
  const watchers = await Promise.all(
    Array.from({ length: count }, () => client.watch().prefix(folder).create()),
  );
  for (const watcher of watchers) watcher.on('put', () => seen++);
  await each(writes, order.perSecond, (n) => put(from + n));
  while (seen < writes * count) await sleep(50);
  await Promise.all(watchers.map((watcher) => watcher.cancel()));
}

/** What every node does once when it starts. */
async function list(): Promise<void> {
  const end = Buffer.from(`${folder.slice(0, -1)}0`); // '0' follows '/'
  for (let round = 0; round < order.count; round++) {
    let key = Buffer.from(folder);
    for (;;) {
      const { kvs, more } = await client.kv.range({ key, range_end: end, limit: PAGE_KEYS });
      const last = kvs.at(-1);
      if (!more || !last) break;
      key = Buffer.concat([last.key, Buffer.from([0])]);
    }
  }
}

const startedAtMs = Date.now();
const { what, from, count, perSecond } = order;
if (what === 'put') await each(count, perSecond, (n) => put(from + n));
else if (what === 'delete') await each(count, perSecond, (n) => remove(from + n));
else if (what === 'watch') await watch();
else await list();
client.close();
process.stdout.write(
  `${JSON.stringify({ startedAtMs, endedAtMs: Date.now() } satisfies Written)}\n`,
);
