/** A real etcd in which everything changes: the control thread goes on answering, and the table ends as what etcd holds. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { EtcdServer } from '../../lab/etcd.ts';
import type { Etcdctl } from '../../lab/etcdctl.ts';
import type { Lease } from '../../src/cluster/lease/lease.ts';
import { parseNetworkConfig } from '../../src/cluster/network-config.ts';
import type { Peer } from '../../src/cluster/peers.ts';
import { EtcdStore } from '../../src/cluster/store/etcd.ts';
import { readPages } from '../../src/cluster/store/etcd-pages.ts';
import { EtcdSession } from '../../src/cluster/store/etcd-session.ts';
import { KeyedRegistry } from '../../src/cluster/store/keyed-registry.ts';
import { Membership } from '../../src/control/membership/membership.ts';
import { PeerLedger } from '../../src/control/observe/peer-ledger.ts';
import { Publication } from '../../src/control/plane/publication.ts';
import { SharedTable } from '../../src/control/plane/shared-table.ts';
import { Turn } from '../../src/control/turn.ts';
import { RouteTable } from '../../src/dataplane/routes/table.ts';
import { TABLE_BYTES } from '../../src/memory/table.ts';
import { systemClock } from '../../src/shared/clock.ts';
import { projectRoot } from '../../src/shared/root.ts';
import { keepLog } from '../support/log-lines.ts';
import { needs } from '../support/needs.ts';
import { peersOf } from '../support/peers-of.ts';
import { words } from '../support/rig.ts';
import { until } from '../support/until.ts';

const { after, afterEach, before, describe, test } = needs('etcd', 'etcdctl');

const PREFIX = '/churn';
const LEASES = 5_000;
const CHANGES = 4_000;
/** This node's own subnet lies behind those that others write. */
const config = parseNetworkConfig(
  '{"Network":"10.0.0.0/8","SubnetMin":"10.220.0.0","Backend":{"Type":"vxlan"}}',
);
const vtep = { VNI: 1, VtepMAC: '02:00:00:00:00:99' };
const ATTRIBUTES = { publicIp4: words('192.0.2.1'), backendType: 'vxlan', backendData: vtep };
const files = { keyFile: '', certFile: '', caFile: '', username: '', password: '' };

describe('etcd under churn', () => {
  let folder: string;
  let server: EtcdServer;
  let ctl: Etcdctl;
  const open: (() => unknown)[] = [];
  const settings = () => ({ endpoints: [server.endpoint], prefix: PREFIX, ...files });

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'weft-churn-'));
    server = await EtcdServer.startAlone(folder);
    ctl = server.ctl();
  });
  afterEach(async () => {
    for (const end of open.splice(0).reverse()) await end();
    await ctl.delete(PREFIX, '--prefix');
  });
  after(async () => {
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** A node's control side, from its store to the table of its workers. */
  async function startNode() {
    const abort = new AbortController();
    const { log } = keepLog();
    const registry = new KeyedRegistry(new EtcdStore(settings()), {
      ...{ renewMarginMs: 3_600_000, log, clock: systemClock },
    });
    open.push(() => registry.close());
    open.push(() => abort.abort());
    const memory = new SharedArrayBuffer(TABLE_BYTES);
    const ledger = new PeerLedger([]);
    const table = new SharedTable(memory, () => []);
    const publication = new Publication(table, [], (changes) => ledger.assign(changes));
    const own = await registry.join({ config, attributes: ATTRIBUTES, previous: undefined });
    const membership = new Membership(registry, log, systemClock);
    membership.begin(await registry.list(), { config, own });
    let applied = 0;
    const apply = async (...[changes]: Parameters<Publication['publish']>): Promise<void> => {
      applied++;
      await publication.publish(changes);
    };
    membership.follow({ config, own }, apply, new Turn(log, abort.signal), abort.signal);
    return { registry, membership, own, memory, counts: () => applied };
  }

  const putMany = () =>
    promisify(execFile)(process.execPath, [
      path.join(projectRoot(), 'dist/test/support/programs/put-many.js'),
      ...[server.endpoint, PREFIX, String(LEASES), String(CHANGES)],
    ]);

  const texts = (peers: readonly Peer[]): string[] =>
    peers.map((peer) => JSON.stringify(peer)).sort();

  /** Waits until peers and table are those of a list that is read and worked off all at once. */
  async function endsAsEtcd({
    registry,
    membership,
    own,
    memory,
  }: Awaited<ReturnType<typeof startNode>>) {
    const { leases } = await registry.list();
    const { peers } = peersOf(leases as Lease[], own.lease, config);
    assert.ok(peers.length > LEASES / 2);
    await until('all is in force', () => membership.peers.length === peers.length, 120_000);
    await until('nothing is held', () => membership.held === 0, 120_000);
    await until(
      'peers are as in etcd',
      () => texts(membership.peers).join() === texts(peers).join(),
      60_000,
    );
    const table = new RouteTable(memory);
    for (const { subnet, mac } of peers) {
      const found = table.lookup4(subnet.words[3] | 7);
      assert.deepEqual([table.macHigh(found), table.macLow(found)], [mac.high, mac.low]);
    }
  }

  test(`${CHANGES} changes among ${LEASES} leases: others are answered meanwhile, and the end is what etcd holds`, async () => {
    const node = await startNode();
    const health = http.createServer((_, response) => response.end('ok'));
    await new Promise<void>((resolve) => health.listen(0, '127.0.0.1', resolve));
    open.push(() => health.close());
    const { port } = health.address() as AddressInfo;
    let isOver = false;
    let answers = 0;
    const asking = (async () => {
      for (; !isOver; answers++) await (await fetch(`http://127.0.0.1:${port}/`)).text();
    })();
    await putMany();
    isOver = true;
    await asking;
    assert.ok(answers > 20, `${answers} answers`);
    await endsAsEtcd(node);
    assert.ok(node.counts() < CHANGES / 4, `${node.counts()} publications: changes are gathered`);
  });

  test('compaction, a lost connection and a new one in the middle of it: the end is what etcd holds', async () => {
    const node = await startNode();
    const writing = putMany();
    await until('it has begun', () => node.membership.peers.length > 100, 60_000);
    await ctl.compact();
    server.pause();
    await new Promise((resolve) => setTimeout(resolve, 500));
    server.resume();
    await ctl.compact();
    await writing;
    await server.kill();
    await server.start();
    await server.waitUntilServing();
    await endsAsEtcd(node);
  });

  test('70 values of a megabyte cost only themselves: all leases are listed, page by page', async () => {
    const session = new EtcdSession(settings());
    open.push(() => session.close());
    const value = Buffer.alloc(1_000_000, 'x');
    for (let i = 0; i < 70; i++) {
      const key = Buffer.from(`${PREFIX}/subnets/10.200.${i}.0-24`);
      await session.call((client) => client.kv.put({ key, value }));
    }
    await promisify(execFile)(process.execPath, [
      path.join(projectRoot(), 'dist/test/support/programs/put-many.js'),
      ...[server.endpoint, PREFIX, '2500', '0'],
    ]);
    const registry = new KeyedRegistry(new EtcdStore(settings()), {
      ...{ renewMarginMs: 3_600_000, log: keepLog().log, clock: systemClock },
    });
    open.push(() => registry.close());
    const { leases, unreadable } = await registry.list();
    assert.equal(leases.length, 2_500);
    assert.equal(unreadable.length, 70);
  });

  test('a compaction between two pages: all is read anew', async () => {
    const write = (n: number) => ctl.put(`${PREFIX}/subnets/last`, `${n}`);
    await promisify(execFile)(process.execPath, [
      path.join(projectRoot(), 'dist/test/support/programs/put-many.js'),
      ...[server.endpoint, PREFIX, '2500', '0'],
    ]);
    const session = new EtcdSession(settings());
    open.push(() => session.close());
    let calls = 0;
    let begun = 0;
    const disturbed: Pick<EtcdSession, 'call'> = {
      async call(work) {
        if (++calls === 2) {
          await write(1);
          await write(2);
          await ctl.compact();
        }
        return session.call(work);
      },
    };
    const range = {
      key: Buffer.from(`${PREFIX}/subnets/`),
      range_end: Buffer.from(`${PREFIX}/subnets0`),
    };
    let keys: string[] = [];
    const begin = (): void => {
      begun++;
      keys = [];
    };
    await readPages(disturbed, range, 60_000, begin, ({ key }) => keys.push(key.toString()));
    assert.equal(begun, 2);
    assert.equal(keys.length, 2_501);
    assert.equal(new Set(keys).size, 2_501);
  });
});
