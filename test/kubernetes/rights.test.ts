/**
 * Rights and tokens, against a real API server: what weft asks for, by the server's own audit log, beside what its ClusterRole allows.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseAllDocuments } from 'yaml';
import { ControlPlane } from '../../lab/kubernetes/control-plane.ts';
import { annotationNames } from '../../src/cluster/kubernetes/annotations.ts';
import { type CallOptions, KubernetesClient } from '../../src/cluster/kubernetes/client.ts';
import type { KubernetesError } from '../../src/cluster/kubernetes/failure.ts';
import { findAccess } from '../../src/cluster/kubernetes/find-access.ts';
import { KubernetesRegistry } from '../../src/cluster/kubernetes/kubernetes-registry.ts';
import type { KubernetesSettings } from '../../src/cluster/kubernetes/settings.ts';
import { parseNetworkConfig } from '../../src/cluster/network-config.ts';
import type { LeaseList } from '../../src/cluster/registry.ts';
import { parseAddress, type Words } from '../../src/shared/address.ts';
import { projectRoot } from '../../src/shared/root.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';
import type { EventView } from '../support/kubernetes.ts';
import { keepLog } from '../support/log-lines.ts';
import { needs } from '../support/needs.ts';
import { until } from '../support/until.ts';

const { after, afterEach, before, describe, test } = needs('root');

const MANIFEST = path.join(projectRoot(), 'deploy/kubernetes/rbac.yaml');
const NAMESPACE = 'kube-weft';
const PREFIX = 'flannel.alpha.coreos.com';
const EVENTS = '/api/v1/namespaces/default/events';
const MINUTE = 60_000;
const WISH = {
  config: parseNetworkConfig('{"Network":"10.244.0.0/16","Backend":{"Type":"host-gw"}}'),
  attributes: { backendType: 'host-gw', publicIp4: parseAddress('192.0.2.1') as Words },
  previous: undefined,
};

interface Rule {
  resources: string[];
  verbs: string[];
}

/** "get nodes" and so on, of the ClusterRole that weft ships. */
function rightsOfManifest(): string[] {
  const objects = parseAllDocuments(readFileSync(MANIFEST, 'utf8')).map((each) => each.toJS());
  const role = objects.find(({ kind }) => kind === 'ClusterRole') as { rules: Rule[] };
  const rights = role.rules.flatMap(({ resources, verbs }) =>
    resources.flatMap((resource) => verbs.map((verb) => `${verb} ${resource}`)),
  );
  return rights.sort();
}

/** Knows whether an answer is waited for. A clock that is moved meanwhile ends the call, however soon the server answers. */
class WatchedClient extends KubernetesClient {
  private calls = 0;

  override call<T>(method: string, path: string, options?: CallOptions): Promise<T> {
    return this.count(super.call<T>(method, path, options));
  }

  override stream(path: string, signal: AbortSignal): Promise<IncomingMessage> {
    return this.count(super.stream(path, signal));
  }

  async answered(): Promise<void> {
    await until('all calls are answered', () => this.calls === 0);
    await settle(); // and who called has read the answer
  }

  private count<T>(call: Promise<T>): Promise<T> {
    this.calls++;
    return call.finally(() => this.calls--);
  }
}

describe('rights in a Kubernetes cluster', () => {
  let folder: string;
  let plane: ControlPlane;
  const open: { close(): unknown }[] = [];

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'weft-rights-'));
    plane = await ControlPlane.create({ folder });
    await plane.admin.create(MANIFEST);
    await until('the server has read the rules', () => mayWriteEvents('weft'));
  });
  afterEach(async () => {
    for (const one of open.splice(0)) await one.close();
    await plane.wipeNodes();
  });
  after(async () => {
    await plane?.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** As the daemon uses it, in a pod of a ServiceAccount; calls and waits go by a clock that the test moves. */
  async function registryOf(account: string, settings: Partial<KubernetesSettings> = {}) {
    const token = await plane.admin.token(NAMESPACE, account);
    const serviceAccountFolder = plane.serviceAccountFolder(account, token, NAMESPACE);
    const { hostname, port } = new URL(plane.url);
    const environment = { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port };
    const pod = { environment, serviceAccountFolder };
    const access = await findAccess({ apiUrl: '', kubeconfigFile: '' }, pod);
    const clock = new FakeClock();
    const client = new WatchedClient(access, clock);
    const { log, messages } = keepLog();
    const whole: KubernetesSettings = {
      ...{ kind: 'kubernetes', apiUrl: '', kubeconfigFile: '', annotationPrefix: PREFIX },
      ...{ configFile: '/none', setsCondition: true, nodeName: 'n1' },
      ...{ podName: '', podNamespace: '', ...settings },
    };
    const registry = new KubernetesRegistry(client, annotationNames(PREFIX), whole, { log, clock });
    open.push(registry);
    const move = async (byMs: number): Promise<void> => {
      await client.answered();
      await clock.move(byMs);
    };
    return { registry, move, messages, tokenFile: path.join(serviceAccountFolder, 'token') };
  }

  /** Everything that a daemon asks of its registry, until its first list from the watch. */
  async function live({ registry }: { registry: KubernetesRegistry }) {
    await registry.ownBefore();
    await registry.list();
    const own = await registry.join(WISH);
    const lists: LeaseList[] = [];
    const abort = new AbortController();
    open.unshift({ close: () => abort.abort() });
    const errors: Error[] = [];
    registry.watch(
      (list) => lists.push(list),
      (error) => errors.push(error),
      abort.signal,
    );
    await registry.nodeReady();
    await until('a list', () => lists.at(-1)?.ownIsThere === true);
    return { own, errors, lists, end: () => abort.abort() };
  }

  async function mayWriteEvents(account: string): Promise<boolean> {
    const path = '/apis/authorization.k8s.io/v1/subjectaccessreviews';
    const resourceAttributes = { verb: 'create', resource: 'events', namespace: 'default' };
    const spec = { user: `system:serviceaccount:${NAMESPACE}:${account}`, resourceAttributes };
    const review = { kind: 'SubjectAccessReview', apiVersion: 'authorization.k8s.io/v1', spec };
    const { status } = await plane.admin.call<{ status: { allowed: boolean } }>(
      'POST',
      path,
      review,
    );
    return status.allowed;
  }

  /** Whether the server does not know this token, asked by somebody else. */
  async function isRefused(tokenFile: string): Promise<boolean> {
    const kubeconfig = plane.kubeconfig('probe', { tokenFile });
    const access = await findAccess({ apiUrl: '', kubeconfigFile: kubeconfig });
    const client = new KubernetesClient(access);
    try {
      await client.get('/api/v1/nodes?limit=1');
      return false;
    } catch (error) {
      return (error as KubernetesError).status === 401;
    } finally {
      client.close();
    }
  }

  const events = async (): Promise<EventView[]> =>
    (await plane.admin.call<{ items: EventView[] }>('GET', EVENTS)).items;

  const used = (): string[] => {
    const requests = plane.requestsOf(NAMESPACE, 'weft');
    return [...new Set(requests.map(({ verb, resource }) => `${verb} ${resource}`))].sort();
  };

  test('the ClusterRole is enough, and each of its rights is used: no other is asked for', async () => {
    await plane.admin.addNode('n1', { podCIDR: '10.244.1.0/24', podCIDRs: ['10.244.1.0/24'] });
    await plane.admin.call('POST', `/api/v1/namespaces/${NAMESPACE}/pods`, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'weft-1' },
      spec: {
        nodeName: 'n1',
        serviceAccountName: 'weft',
        automountServiceAccountToken: false,
        containers: [{ name: 'weft', image: 'weft' }],
      },
    });
    const pod = { nodeName: '', podName: 'weft-1', podNamespace: NAMESPACE };
    const weft = await registryOf('weft', pod);
    const { errors, lists, end } = await live(weft);
    // A watch that tells something is open, and no call that the clock ends; it is written down at its end.
    await plane.admin.addNode('n2', { annotations: { [`${PREFIX}/kube-subnet-manager`]: 'true' } });
    await until('n2 is heard of', async () => {
      await weft.move(10);
      return lists.at(-1)?.unreadable.includes('n2') === true;
    });
    for (const text of ['first', 'second']) {
      weft.registry.tell({ reason: 'MtuMismatch', isWarning: true, text });
      await until(text, async () => (await events()).some(({ message }) => message === text));
      await weft.move(11 * MINUTE);
    }
    end();
    await until('the watch is over', () => used().includes('watch nodes'));
    assert.deepEqual(used(), rightsOfManifest());
    const requests = plane.requestsOf(NAMESPACE, 'weft');
    assert.deepEqual(
      requests.filter(({ code }) => code === 403),
      [],
    );
    assert.deepEqual([errors, weft.messages], [[], []]);
    const { uid } = (await plane.admin.call('GET', '/api/v1/nodes/n1')).metadata ?? {};
    const found = (await events()).map(({ reason, type, count, source, involvedObject }) => ({
      ...{ reason, type, count, source, uid: involvedObject.uid },
    }));
    assert.deepEqual(found, [
      {
        ...{ reason: 'MtuMismatch', type: 'Warning', count: 2, uid },
        source: { component: 'weft', host: 'n1' },
      },
    ]);
  });

  test("with flannel's ClusterRole all works but for events, and one line says so", async () => {
    await plane.admin.addNode('n1', { podCIDR: '10.244.1.0/24', podCIDRs: ['10.244.1.0/24'] });
    const file = path.join(folder, 'flannel.yaml');
    const text = readFileSync(MANIFEST, 'utf8')
      .replace(/^[\s\S]*?---\n/, '')
      .replaceAll('name: weft', 'name: flannel')
      .replace(/ {2}- apiGroups: \[''\]\n {4}resources: \[events\]\n {4}verbs: .*\n/, '');
    assert.doesNotMatch(text, /events\]/);
    writeFileSync(file, text);
    await plane.admin.create(file);
    const flannel = await registryOf('flannel');
    const { own } = await live(flannel);
    flannel.registry.tell({ reason: 'MtuMismatch', isWarning: true, text: 'refused' });
    await until('the refusal', async () => {
      await flannel.move(15_000);
      return flannel.messages.length > 0;
    });
    flannel.registry.tell({ reason: 'Other', isWarning: true, text: 'refused' });
    await flannel.move(60 * MINUTE);
    assert.equal(flannel.messages.length, 1);
    assert.match(
      flannel.messages[0] ?? '',
      /^no events are written to this Node: .*403 Forbidden: events is forbidden/,
    );
    assert.equal(own.state, 'held');
    assert.ok((await events()).every(({ message }) => message !== 'refused'));
  });

  test('a token that the server takes no more: what is in the file by then goes on', async () => {
    await plane.admin.addNode('n1', { podCIDR: '10.244.1.0/24', podCIDRs: ['10.244.1.0/24'] });
    const weft = await registryOf('weft');
    const { own } = await live(weft);
    const accounts = `/api/v1/namespaces/${NAMESPACE}/serviceaccounts`;
    await plane.admin.call('DELETE', `${accounts}/weft`);
    const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'weft' } };
    await plane.admin.call('POST', accounts, account);
    // The server takes a token for ten seconds more.
    await until('the old token is refused', () => isRefused(weft.tokenFile));
    const remove = { metadata: { annotations: { [`${PREFIX}/backend-type`]: null } } };
    await plane.admin.patchNode('n1', remove);
    const refusal = /can't be written yet: .*401 Unauthorized.*check the token/;
    await until('the refusal', () => weft.messages.some((message) => refusal.test(message)));
    assert.equal(own.state, 'lost');
    writeFileSync(weft.tokenFile, await plane.admin.token(NAMESPACE, 'weft'));
    await until('put back', async () => {
      await weft.move(5_000);
      return own.state === 'held';
    });
    const { metadata } = await plane.admin.call('GET', '/api/v1/nodes/n1');
    assert.equal(metadata?.annotations?.[`${PREFIX}/backend-type`], 'host-gw');
  });
});
