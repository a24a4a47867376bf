/** The client of the Kubernetes API against a real API server, with the rights of the manifest that weft ships. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ControlPlane } from '../../lab/kubernetes/control-plane.ts';
import { LabScope } from '../../lab/namespace.ts';
import { KubernetesClient } from '../../src/cluster/kubernetes/client.ts';
import {
  CollectionWatch,
  type Report,
  TIMING,
  type Timing,
} from '../../src/cluster/kubernetes/collection-watch.ts';
import type { KubernetesError } from '../../src/cluster/kubernetes/failure.ts';
import { findAccess } from '../../src/cluster/kubernetes/find-access.ts';
import { listObjects } from '../../src/cluster/kubernetes/list.ts';
import type {
  KubernetesObject,
  NodeObject,
  ObjectList,
} from '../../src/cluster/kubernetes/object.ts';
import { watchOnce } from '../../src/cluster/kubernetes/watch-stream.ts';
import type { Clock } from '../../src/shared/clock.ts';
import { projectRoot } from '../../src/shared/root.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { needs } from '../support/needs.ts';
import { until } from '../support/until.ts';

const { after, afterEach, before, describe, test } = needs('root');

const NODES = '/api/v1/nodes';
const NAMESPACE = 'kube-weft';
const SERVICE_ACCOUNT = 'weft';

const MANIFEST = path.join(projectRoot(), 'deploy/kubernetes/rbac.yaml');

interface NodeRecord {
  uid: string;
  podCIDR: string;
  data: string;
}

function reduce({ metadata, spec }: NodeObject): NodeRecord {
  const { uid = '', annotations = {} } = metadata ?? {};
  return { uid, podCIDR: spec?.podCIDR ?? '', data: annotations['weft.test/data'] ?? '' };
}

/** One watch from a version, for a short while. */
function watchFrom(client: KubernetesClient, version: string): Promise<'ended' | 'silent'> {
  const wish = { path: NODES, version, timeoutS: 60, silenceMs: 3_000 };
  const hear = { onOpen: () => undefined, onEvent: () => undefined };
  return watchOnce(client, { ...wish, ...hear }, new AbortController().signal);
}

async function hasNoNodes({ admin }: ControlPlane): Promise<boolean> {
  const { items } = await admin.call<ObjectList>('GET', `${NODES}?limit=1`);
  return items?.length === 0;
}

/** Asks until there is an answer; resolves with the kinds of failures before it. */
async function kindsUntilAnswer(client: KubernetesClient): Promise<string[]> {
  const kinds = new Set<string>();
  await until('an answer', async () => {
    try {
      await client.get(`${NODES}?limit=1`);
      return true;
    } catch (error) {
      kinds.add((error as KubernetesError).kind);
      return false;
    }
  });
  return [...kinds];
}

describe('client of the Kubernetes API', () => {
  let folder: string;
  let plane: ControlPlane;
  /** as a pod of the ServiceAccount finds it */
  let accountFolder: string;
  const open: { close(): unknown }[] = [];

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'weft-kubernetes-'));
    plane = await ControlPlane.create({ folder });
    await plane.admin.create(MANIFEST);
    const token = await plane.admin.token(NAMESPACE, SERVICE_ACCOUNT);
    accountFolder = plane.serviceAccountFolder('account', token, NAMESPACE);
  });
  afterEach(async () => {
    for (const one of open.splice(0).reverse()) await one.close();
    await plane.waitUntilReady();
    await plane.wipeNodes();
    await until('no node', () => hasNoNodes(plane));
  });
  after(async () => {
    await plane?.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** As weftd in a pod. */
  async function podClient(clock?: Clock): Promise<KubernetesClient> {
    const { hostname, port } = new URL(plane.url);
    const environment = { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port };
    const pod = { environment, serviceAccountFolder: accountFolder };
    const access = await findAccess({ apiUrl: '', kubeconfigFile: '' }, pod);
    const client = new KubernetesClient(access, clock);
    open.push(client);
    return client;
  }

  /** A watch of the nodes, and what it said so far. */
  async function watchNodes(timing: Partial<Timing> = {}) {
    const client = await podClient();
    const seen = {
      /** made of the changes alone */
      records: new Map<string, NodeRecord>(),
      /** names that were reported, one after the other */
      reported: [] as string[],
      whole: 0,
      errors: [] as Error[],
    };
    const wish = {
      path: NODES,
      reduce,
      onReport({ changes, isWhole }: Report<NodeRecord>): void {
        for (const [name, record] of changes)
          if (record) seen.records.set(name, record);
          else seen.records.delete(name);
        seen.reported.push(...changes.keys());
        if (isWhole) seen.whole++;
      },
      onError: (error: Error) => void seen.errors.push(error),
    };
    const abort = new AbortController();
    const watch = new CollectionWatch(client, wish, { ...TIMING, ...timing });
    const end = watch.run(abort.signal);
    open.push({
      close: () => {
        abort.abort();
        return end;
      },
    });
    await until('first report', () => seen.whole > 0);
    return seen;
  }

  test('a list of 1,200 nodes comes page by page, each node once', async () => {
    const names = Array.from({ length: 1_200 }, (_, i) => `many-${i}`);
    await plane.seedNodes(names.map((name) => [name, {}] as const));
    const client = await podClient();
    const paths: string[] = [];
    const get = client.get.bind(client);
    client.get = (each: string, signal?: AbortSignal) => {
      paths.push(each);
      return get(each, signal);
    };
    const found: (string | undefined)[] = [];
    const version = await listObjects(
      client,
      NODES,
      () => undefined,
      ({ metadata }: KubernetesObject) => void found.push(metadata?.name),
    );
    assert.deepEqual(found.sort(), names.sort());
    assert.match(version, /^\d+$/);
    assert.equal(paths.length, 3);
  });

  test('a watch reports what is added, changed and deleted; a change of nothing that is kept is no news', async () => {
    const seen = await watchNodes({ deliveryMs: 0 });
    await plane.admin.addNode('a', { podCIDR: '10.244.1.0/24' });
    await until('a is there', () => seen.records.get('a')?.podCIDR === '10.244.1.0/24');
    await plane.admin.patchNode('a', { metadata: { labels: { nobody: 'cares' } } });
    await plane.admin.addNode('b');
    await until('b is there', () => seen.records.has('b'));
    await plane.admin.patchNode('b', { metadata: { annotations: { 'weft.test/data': 'x' } } });
    await until('b has data', () => seen.records.get('b')?.data === 'x');
    await plane.admin.deleteNode('a');
    await until('a is gone', () => !seen.records.has('a'));
    assert.deepEqual(seen.reported, ['a', 'b', 'b', 'a']);
    assert.equal(seen.whole, 1);
  });

  test('killed, started again without its history: what was missed is found, and no error is final', async () => {
    const client = await podClient();
    for (const name of ['stays', 'goes']) await plane.admin.addNode(name);
    const seen = await watchNodes();
    const { metadata } = await client.get<KubernetesObject>(`${NODES}?limit=1`);
    await plane.kill();
    await until('an error', () => seen.errors.length > 0);
    await plane.wipeNodes('goes');
    await plane.compact();
    plane.start();
    // A server that has just started refuses even the rightful.
    const kinds = await kindsUntilAnswer(client);
    assert.deepEqual(kinds, ['unavailable']);
    await until('the node is gone', () => !seen.records.has('goes'));
    assert.deepEqual([...seen.records.keys()], ['stays']);
    assert.equal(seen.whole, 2);
    for (const error of seen.errors) assert.match(error.message, /^kubernetes https:/);
    await plane.waitUntilReady();
    const before = watchFrom(client, metadata?.resourceVersion ?? '');
    await assert.rejects(before, { kind: 'gone', status: 410 });
    await plane.admin.addNode('new');
    await until('the new node', () => seen.records.has('new'));
  });

  test('a version that is yet to come: silence, no error', async () => {
    const client = await podClient();
    assert.equal(await watchFrom(client, '99999999'), 'silent');
  });

  test('etcd restored to an older state: what came after it is gone', async () => {
    const backup = path.join(folder, 'backup');
    await plane.admin.addNode('old', { annotations: { 'weft.test/data': 'then' } });
    await plane.etcd.backUp(backup);
    await plane.waitUntilReady();
    await plane.admin.patchNode('old', { metadata: { annotations: { 'weft.test/data': 'now' } } });
    for (const name of ['later-1', 'later-2', 'later-3']) await plane.admin.addNode(name);
    const seen = await watchNodes();
    assert.equal(seen.records.get('old')?.data, 'now');
    await plane.kill();
    await plane.etcd.restore(backup);
    plane.start();
    await until('the old state', () => seen.records.size === 1);
    assert.equal(seen.records.get('old')?.data, 'then');
    await plane.waitUntilReady();
    await plane.admin.addNode('next');
    await until('the next node', () => seen.records.has('next'));
  });

  test('a server that is frozen is one that does not answer; all goes on when it thaws', async () => {
    const seen = await watchNodes({ silenceMs: 1_000 });
    plane.pause();
    await until('an error', () => seen.errors.length > 0);
    assert.match(seen.errors[0]?.message ?? '', /no answer within/);
    plane.resume();
    await until('a whole report', () => seen.whole > 1);
    await plane.admin.addNode('thawed');
    await until('the node', () => seen.records.has('thawed'));
  });

  test('the rights of the manifest: the status of a node and no more', async () => {
    const clock = new FakeClock();
    const client = await podClient(clock);
    await plane.admin.addNode('own');
    const condition = { type: 'NetworkUnavailable', status: 'False', reason: 'WeftIsUp' };
    const patched = await client.patch<NodeObject & { status?: { conditions?: object[] } }>(
      `${NODES}/own/status`,
      { metadata: { annotations: { 'weft.test/data': 'x' } }, status: { conditions: [condition] } },
    );
    assert.equal(patched.metadata?.annotations?.['weft.test/data'], 'x');
    assert.equal(patched.status?.conditions?.length, 1);
    const pod = client.get('/api/v1/namespaces/default/pods/none');
    await assert.rejects(pod, { kind: 'not found' });
    const metadata = { metadata: { labels: { mine: 'x' } } };
    for (const forbidden of [
      () => client.patch(`${NODES}/own`, metadata),
      () => client.get('/api/v1/pods'),
      () => client.get('/api/v1/namespaces/kube-system/secrets'),
      () => client.call('DELETE', `${NODES}/own`),
      () => client.post(NODES, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'x' } }),
    ]) {
      await assert.rejects(forbidden, { kind: 'unavailable', status: 403 });
      await clock.move(11_000);
      await assert.rejects(forbidden, { kind: 'refused', status: 403 });
    }
  });

  test('a token that the server does not know: the file is read again at once', async () => {
    const client = await podClient();
    const file = path.join(accountFolder, 'token');
    const token = readFileSync(file, 'utf8');
    writeFileSync(file, 'of.another.cluster');
    await assert.rejects(client.get(`${NODES}?limit=1`), { kind: 'refused', status: 401 });
    writeFileSync(file, token);
    await client.get(`${NODES}?limit=1`);
  });
});

describe('client of the Kubernetes API across a link', () => {
  test('a link that is cut without a word is noticed, and what was missed is made up for', async () => {
    const scope = await LabScope.open();
    try {
      const [api, host] = [await scope.namespace('api'), await scope.namespace('host')];
      await api.ip('link', 'add', 'u0', 'type', 'veth', 'peer', 'name', 'u0', 'netns', host.name);
      await api.ip('addr', 'add', '192.0.2.1/24', 'dev', 'u0');
      await host.ip('addr', 'add', '192.0.2.2/24', 'dev', 'u0');
      for (const each of [api, host]) await each.ip('link', 'set', 'u0', 'up');
      const network = { namespace: api, address: '192.0.2.1' };
      const plane = await ControlPlane.create({ folder: path.join(scope.tempDir, 'k'), network });
      scope.cleanup.defer('control plane', () => plane.close());
      await plane.admin.create(MANIFEST);
      const token = await plane.admin.token(NAMESPACE, SERVICE_ACCOUNT);
      const program = path.join(import.meta.dirname, '../support/programs/node-watcher.js');
      const words = [program, plane.kubeconfig('weft', { token }), '3000'];
      const watcher = host.spawn(process.execPath, words);
      await plane.admin.addNode('before');
      await until('the first node', () => /^nodes before$/m.test(watcher.output));
      const chain = (hook: string, key: string): string =>
        `chain ${hook} { type filter hook ${hook} priority 0; ${key} "u0" drop; }\n`;
      const cut = `table ip cut {\n${chain('input', 'iifname')}${chain('output', 'oifname')}}\n`;
      await api.exec('nft', ['-f', '-'], { input: cut });
      await plane.admin.addNode('missed');
      await until('an error', () => /^error /m.test(watcher.output));
      await api.exec('nft', ['delete', 'table', 'ip', 'cut']);
      await until('the missed node', () => /^nodes before missed$/m.test(watcher.output));
      assert.equal(watcher.exit, undefined);
    } finally {
      assert.deepEqual(await scope.close(), []);
    }
  });
});
