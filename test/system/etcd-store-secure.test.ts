/** etcd with TLS, users and three members: real servers on loopback. */
import assert from 'node:assert/strict';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Authority } from '../../lab/certificates.ts';
import { EtcdServer, startCluster } from '../../lab/etcd.ts';
import { Etcdctl } from '../../lab/etcdctl.ts';
import { EtcdStore } from '../../src/cluster/store/etcd.ts';
import type { EtcdSettings } from '../../src/cluster/store/settings.ts';
import { needs } from '../support/needs.ts';
import { until } from '../support/until.ts';

const { after, afterEach, before, describe, test } = needs('etcd', 'etcdctl', 'openssl');

const open: { close(): unknown }[] = [];
const storeAt = (endpoints: string[], more: Partial<EtcdSettings> = {}): EtcdStore => {
  const files = { keyFile: '', certFile: '', caFile: '', username: '', password: '' };
  const store = new EtcdStore({ endpoints, prefix: '/net', ...files, ...more });
  open.push(store);
  return store;
};
/** Keys of the newest list, and how often the store was away. */
const watch = (store: EtcdStore) => {
  const abort = new AbortController();
  const seen = { keys: '', lists: 0, errors: 0 };
  open.push({ close: () => abort.abort() });
  const onSnapshot = ({ leases }: { leases: readonly { key: string }[] }): void => {
    seen.keys = leases.map(({ key }) => key).join();
    seen.lists++;
  };
  store.watch(onSnapshot, () => seen.errors++, abort.signal);
  return seen;
};
const closeAll = async (): Promise<void> => {
  for (const one of open.splice(0).reverse()) await one.close();
};

describe('etcd with TLS', () => {
  let folder: string;
  let authority: Authority;
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'weft-etcd-tls-'));
    authority = await Authority.create(folder, 'ca');
  });
  afterEach(closeAll);
  after(() => rm(folder, { recursive: true, force: true }));

  test('A-31 a lone CA is enough to trust a server; a foreign CA is not', async () => {
    const server = await secure({ name: 'lone' });
    const store = storeAt([server.endpoint], { caFile: authority.caFile });
    assert.equal(await store.readConfig(), undefined);
    const foreign = await Authority.create(folder, 'foreign');
    const doubtful = storeAt([server.endpoint], { caFile: foreign.caFile });
    await assert.rejects(doubtful.readConfig(), { code: 'ERR_STORE_UNAVAILABLE', message: /TLS/ });
  });

  test('a client certificate where the server wants one; without it no', async () => {
    const server = await secure({ name: 'mutual', mutual: true });
    const client = await authority.issue('node');
    const store = storeAt([server.endpoint], { caFile: authority.caFile, ...client });
    assert.equal(await store.create('10.3.1.0-24', 'a', 60_000), 'created');
    const bare = storeAt([server.endpoint], { caFile: authority.caFile });
    await assert.rejects(bare.readConfig(), { code: 'ERR_STORE_UNAVAILABLE' });
    const lost = storeAt([server.endpoint], { caFile: '/nowhere/ca.crt' });
    await assert.rejects(lost.readConfig(), /--etcd-cafile can't be read/);
  });

  test('certificates rotated under a new authority: the watch finds the new files', async () => {
    const [ca, cert, key] = ['live-ca', 'live-cert', 'live-key'].map((name) =>
      path.join(folder, name),
    ) as [string, string, string];
    const use = async (from: Authority): Promise<void> => {
      const issued = await from.issue('rotating');
      await copyFile(from.caFile, ca);
      await copyFile(issued.certFile, cert);
      await copyFile(issued.keyFile, key);
    };
    await use(authority);
    const tls = { certFile: cert, keyFile: key, clientCaFile: ca };
    const server = await secure({ name: 'rotating', tls });
    const files = { caFile: ca, certFile: cert, keyFile: key };
    const store = storeAt([server.endpoint], files);
    const seen = watch(store);
    await until('first list', () => seen.lists > 0);
    await use(await Authority.create(folder, 'ca2'));
    await server.stop();
    await server.start();
    const ctl = new Etcdctl({ endpoints: [server.endpoint], ...files });
    await server.waitUntilServing(ctl);
    await ctl.put('/net/subnets/10.3.1.0-24', 'a');
    await until('seen', () => seen.keys === '10.3.1.0-24');
  });

  async function secure(options: {
    name: string;
    mutual?: boolean;
    tls?: { certFile: string; keyFile: string; clientCaFile: string };
  }): Promise<EtcdServer> {
    const { name, mutual } = options;
    const own = options.tls ?? (await authority.issue(`server-${name}`));
    const tls = { ...own, ...(mutual && { clientCaFile: authority.caFile }) };
    const client = await authority.issue(`probe-${name}`);
    const free = await EtcdServer.startAlone(path.join(folder, name));
    await free.stop();
    const server = new EtcdServer({ ...free.options, tls });
    open.push({ close: () => server.stop() });
    await server.start();
    const files = options.tls ?? { ...client };
    const ca = options.tls?.clientCaFile ?? authority.caFile;
    await server.waitUntilServing(
      new Etcdctl({ endpoints: [server.endpoint], ...files, caFile: ca }),
    );
    return server;
  }
});

describe('etcd with users', () => {
  let folder: string;
  let server: EtcdServer;
  let root: Etcdctl;
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'weft-etcd-auth-'));
    // Tokens end 2 s after their last use.
    server = await EtcdServer.startAlone(folder, { flags: ['--auth-token-ttl=2'] });
    const ctl = server.ctl();
    await ctl.run('user', 'add', 'root:rootword');
    await ctl.run('user', 'add', 'flannel:secretword');
    await ctl.run('role', 'add', 'net');
    await ctl.run('role', 'grant-permission', 'net', '--prefix=true', 'readwrite', '/net/');
    await ctl.run('user', 'grant-role', 'flannel', 'net');
    await ctl.run('auth', 'enable');
    root = new Etcdctl({ endpoints: [server.endpoint], user: 'root:rootword' });
  });
  afterEach(closeAll);
  after(async () => {
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
  });
  const user = { username: 'flannel', password: 'secretword' };

  test('user and password; a wrong password and a foreign prefix are refused without a secret in the message', async () => {
    const store = storeAt([server.endpoint], user);
    assert.equal(await store.create('10.3.1.0-24', 'a', 60_000), 'created');
    assert.equal(await store.delete('10.3.1.0-24'), true);
    const wrong = storeAt([server.endpoint], { ...user, password: 'wrongword' });
    const elsewhere = storeAt([server.endpoint], { ...user, prefix: '/other' });
    for (const refused of [wrong, elsewhere]) {
      await assert.rejects(refused.list(), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'ERR_STORE_REFUSED');
        assert.doesNotMatch(`${error.message} ${error.stack}`, /secretword|wrongword/);
        return true;
      });
    }
  });

  test('an expired token is replaced: for calls, and for the watch when etcd restarts', async () => {
    const store = storeAt([server.endpoint], user);
    const seen = watch(store);
    await until('first list', () => seen.lists > 0);
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    assert.equal(await store.create('10.3.2.0-24', 'a', 60_000), 'created');
    await until('seen', () => seen.keys === '10.3.2.0-24');
    await server.kill();
    await server.start();
    await server.waitUntilServing(root);
    await root.put('/net/subnets/10.3.3.0-24', 'b');
    await until('seen after the restart', () => seen.keys === '10.3.2.0-24,10.3.3.0-24');
    // Any change of the users makes every token stale.
    await root.run('user', 'add', 'another:word');
    assert.equal(await store.create('10.3.4.0-24', 'c', 60_000), 'created');
    await until('seen after the change', () => seen.keys.endsWith('10.3.4.0-24'));
  });
});

describe('etcd with three members', () => {
  let folder: string;
  let members: EtcdServer[] = [];
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'weft-etcd-three-'));
    members = await startCluster(folder, 3);
  });
  afterEach(closeAll);
  after(async () => {
    for (const member of members) await member.stop();
    await rm(folder, { recursive: true, force: true });
  });
  const endpoints = (): string[] => members.map((member) => member.endpoint);
  const at = (i: number): EtcdServer => members[i] as EtcdServer;

  test('the leader killed: another endpoint serves, nothing is lost', async () => {
    const ctl = new Etcdctl({ endpoints: endpoints() });
    const leader = await ctl.leader();
    assert.ok(leader >= 0);
    // The store begins at the member that will die.
    const order = [leader, ...[0, 1, 2].filter((i) => i !== leader)];
    const store = storeAt(order.map((i) => at(i).endpoint));
    const seen = watch(store);
    assert.equal(await store.create('10.3.1.0-24', 'a', 60_000), 'created');
    await until('seen', () => seen.keys === '10.3.1.0-24');
    await at(leader).kill();
    await until('written through another member', async () => {
      return (await store.create('10.3.2.0-24', 'b', 60_000).catch(() => '')) !== '';
    });
    await until('seen', () => seen.keys === '10.3.1.0-24,10.3.2.0-24');
    await at(leader).start();
    await at(leader).waitUntilServing();
  });

  test('a member that lost its cluster: the watch leaves it by itself', async () => {
    const [first, second, third] = [0, 1, 2] as const;
    const store = storeAt(endpoints());
    const seen = watch(store);
    await until('first list', () => seen.lists > 0);
    const before = seen.lists;
    // Alone, the first still answers connections and holds the watch open, but it has no leader.
    await at(second).kill();
    await at(third).kill();
    await until('no leader noticed', () => seen.errors > 0, 60_000);
    await at(second).start();
    await at(third).start();
    await at(first).waitUntilServing();
    await until('listed again', () => seen.lists > before);
    await store.create('10.3.9.0-24', 'c', 60_000);
    await until('seen', () => seen.keys.includes('10.3.9.0-24'));
  });
});
