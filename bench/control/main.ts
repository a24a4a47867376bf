/**
 * npm run bench:control: how fast the control side is with many nodes on a real etcd that it starts itself on loopback: the first sync
 * of all leases, and the way of one change from etcd to the table that the workers read.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Etcd3 } from 'etcd3';
import { requireCommands } from '../../lab/command.ts';
import { EtcdServer } from '../../lab/etcd.ts';
import { leaseValue } from '../../lab/lease-file.ts';
import { parseLeases } from '../../src/cluster/lease/acquire.ts';
import type { Lease } from '../../src/cluster/lease/lease.ts';
import { type NetworkConfig, parseNetworkConfig } from '../../src/cluster/network-config.ts';
import { PeerBook } from '../../src/cluster/peer-book.ts';
import { EtcdStore } from '../../src/cluster/store/etcd.ts';
import type { Snapshot } from '../../src/cluster/store/store.ts';
import { TableGuard } from '../../src/control/membership/table-guard.ts';
import { Publication } from '../../src/control/plane/publication.ts';
import { SharedTable } from '../../src/control/plane/shared-table.ts';
import { TABLE_BYTES } from '../../src/memory/table.ts';
import { EXIT, messageOf } from '../../src/shared/errors.ts';

const HELP = `npm run bench:control -- [--leases N] [--changes N] [--json]

Starts etcd on loopback, writes N leases (default 5000), and measures the first sync and N single changes (default 200).
`;
const SYNCS = 5;
/** etcd takes at most this many operations in one transaction. */
const OPS_PER_TXN = 100;
const PREFIX = '/bench';

interface Figures {
  leases: number;
  syncMs: number[];
  /** from before the write to the table; from etcd's answer to the table */
  changeMs: number[];
  publishedAfterAckMs: number[];
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      leases: { type: 'string', default: '5000' },
      changes: { type: 'string', default: '200' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  requireCommands(['etcd', 'etcdctl']);
  const folder = await mkdtemp(path.join(tmpdir(), 'weft-bench-'));
  const server = await EtcdServer.startAlone(folder);
  const client = new Etcd3({ hosts: server.endpoint });
  try {
    const leases = Number(values.leases);
    const figures: Figures = { leases, syncMs: [], changeMs: [], publishedAfterAckMs: [] };
    await writeLeases(client, leases);
    for (let i = 0; i < SYNCS; i++) figures.syncMs.push(await measureSync(server.endpoint));
    await measureChanges(client, server.endpoint, Number(values.changes), figures);
    process.stdout.write(values.json ? `${JSON.stringify(figures)}\n` : render(figures));
  } finally {
    client.close();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

const config: NetworkConfig = parseNetworkConfig(
  '{"Network":"10.0.0.0/8","SubnetLen":24,"Backend":{"Type":"vxlan"}}',
);
const own: Lease = {
  key: '10.255.0.0-24',
  attributes: { backendType: 'vxlan' },
  isPermanent: true,
  revision: '',
};

function keyOf(i: number): Buffer {
  return Buffer.from(`${PREFIX}/subnets/10.${(i >> 8) & 127}.${i & 255}.0-24`);
}

function leaseOf(i: number, change: number): Buffer {
  const hex = (byte: number): string => (byte & 255).toString(16).padStart(2, '0');
  const vtepMac = `02:00:${hex(change >> 8)}:${hex(change)}:${hex(i >> 8)}:${hex(i)}`;
  return Buffer.from(leaseValue({ publicIp: `198.18.${(i >> 8) & 255}.${i & 255}`, vtepMac }));
}

async function writeLeases(client: Etcd3, count: number): Promise<void> {
  for (let from = 0; from < count; from += OPS_PER_TXN) {
    const some = Array.from({ length: Math.min(OPS_PER_TXN, count - from) }, (_, i) => from + i);
    const success = some.map((i) => ({ request_put: { key: keyOf(i), value: leaseOf(i, 0) } }));
    await client.kv.txn({ compare: [], success, failure: [] });
  }
}

/** Everything between etcd and the workers, as in the daemon. */
class Pipeline {
  private readonly book = new PeerBook(own, config);
  private readonly guard = new TableGuard();
  private readonly table = new SharedTable(new SharedArrayBuffer(TABLE_BYTES), () => []);
  private readonly publication = new Publication(this.table, [], () => []);

  async apply(snapshot: Snapshot): Promise<number> {
    const changes = this.book.replace(parseLeases(snapshot));
    await this.publication.publish(this.guard.apply(changes, true, Date.now()).changes);
    return changes.length;
  }
}

function storeAt(endpoint: string): EtcdStore {
  const files = { keyFile: '', certFile: '', caFile: '', username: '', password: '' };
  return new EtcdStore({ endpoints: [endpoint], prefix: PREFIX, ...files });
}

/** A fresh client: connect, list, parse, make peers, publish. */
async function measureSync(endpoint: string): Promise<number> {
  const store = storeAt(endpoint);
  const pipeline = new Pipeline();
  const startedMs = performance.now();
  await pipeline.apply(await store.list());
  const tookMs = performance.now() - startedMs;
  await store.close();
  return tookMs;
}

async function measureChanges(
  client: Etcd3,
  endpoint: string,
  changes: number,
  figures: Figures,
): Promise<void> {
  const store = storeAt(endpoint);
  const pipeline = new Pipeline();
  const abort = new AbortController();
  let published = (): void => undefined;
  const onSnapshot = async (snapshot: Snapshot): Promise<void> => {
    await pipeline.apply(snapshot);
    published();
  };
  const next = (): Promise<number> =>
    new Promise((resolve) => {
      published = () => resolve(performance.now());
    });
  const first = next();
  store.watch(
    (snapshot) => void onSnapshot(snapshot),
    () => undefined,
    abort.signal,
  );
  await first;
  // The stream is opened behind the first list; a change that is seen proves that it stands.
  for (let change = 1; change <= changes; change++) {
    const seen = next();
    const startedMs = performance.now();
    await client.kv.put({ key: keyOf(change % figures.leases), value: leaseOf(change, change) });
    const ackMs = performance.now();
    const seenMs = await seen;
    figures.changeMs.push(seenMs - startedMs);
    figures.publishedAfterAckMs.push(seenMs - ackMs);
  }
  abort.abort();
  await store.close();
}

function render({ leases, syncMs, changeMs, publishedAfterAckMs }: Figures): string {
  const line = (what: string, all: readonly number[]): string => {
    const sorted = [...all].sort((a, b) => a - b);
    const at = (share: number): string =>
      (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(1);
    return `${what.padEnd(52)} median ${at(0.5)} ms, 95 % ${at(0.95)} ms, most ${at(1)} ms`;
  };
  return [
    `${leases} leases in etcd`,
    line('first sync, connection to published table', syncMs),
    line('one change, from the write to the published table', changeMs),
    line("one change, from etcd's answer to the published table", publishedAfterAckMs),
    '',
  ].join('\n');
}

try {
  await main();
} catch (error) {
  process.stderr.write(`bench:control: ${messageOf(error)}\n`);
  process.exitCode = EXIT.failure;
}
