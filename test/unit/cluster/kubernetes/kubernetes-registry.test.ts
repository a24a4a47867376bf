/** The registry against a server that changes between two of its questions (fake server). */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { annotationNames } from '../../../../src/cluster/kubernetes/annotations.ts';
import { KubernetesRegistry } from '../../../../src/cluster/kubernetes/kubernetes-registry.ts';
import type { KubernetesSettings } from '../../../../src/cluster/kubernetes/settings.ts';
import { parseNetworkConfig } from '../../../../src/cluster/network-config.ts';
import { parseAddress, type Words } from '../../../../src/shared/address.ts';
import { systemClock } from '../../../../src/shared/clock.ts';
import { EXIT } from '../../../../src/shared/errors.ts';
import { FakeApi, json } from '../../../support/fake-api.ts';
import { keepLog } from '../../../support/log-lines.ts';
import { until } from '../../../support/until.ts';

const PREFIX = 'flannel.alpha.coreos.com';
const WISH = {
  config: parseNetworkConfig('{"Network":"10.244.0.0/16","Backend":{"Type":"host-gw"}}'),
  attributes: { backendType: 'host-gw', publicIp4: parseAddress('192.0.2.1') as Words },
  previous: undefined,
};

async function setUp(t: TestContext) {
  const node = {
    metadata: { name: 'n1', uid: 'u1', annotations: {} as Record<string, string> },
    spec: { podCIDR: '10.244.1.0/24' },
  };
  const fake = await FakeApi.start(t, (_, response) => json(response, node));
  const settings: KubernetesSettings = {
    ...{
      kind: 'kubernetes' as const,
      apiUrl: fake.url,
      kubeconfigFile: '',
      annotationPrefix: PREFIX,
    },
    ...{ configFile: '/none', setsCondition: true, nodeName: 'n1' },
    ...{ podName: '', podNamespace: '' },
  };
  const { log, messages } = keepLog();
  const options = { log, clock: systemClock };
  const client = fake.client(t);
  const registry = new KubernetesRegistry(client, annotationNames(PREFIX), settings, options);
  t.after(() => registry.close());
  const asked = (): string[] => fake.requests.map(({ method, url }) => `${method} ${url}`);
  return { registry, node, asked, messages };
}

test('fake server: a node-public-ip that is set while the node starts calls for another start', async (t) => {
  const { registry, node, asked } = await setUp(t);
  assert.equal((await registry.ownBefore()).publicIp4, undefined);
  node.metadata.annotations[`${PREFIX}/node-public-ip`] = '192.0.2.9';
  const again = {
    exitCode: EXIT.again,
    message: /node-public-ip of Node n1 is "192\.0\.2\.9" now/,
  };
  await assert.rejects(registry.join(WISH), again);
  assert.ok(asked().every((each) => each.startsWith('GET')));
});

test('fake server: a podCIDR outside Network is an event on the Node', async (t) => {
  const { registry, node, asked } = await setUp(t);
  node.spec.podCIDR = '10.9.1.0/24';
  await assert.rejects(registry.join(WISH), { code: 'ERR_CONFIG' });
  const post = 'POST /api/v1/namespaces/default/events';
  await until('the event', () => asked().includes(post));
  await assert.rejects(registry.join(WISH), { code: 'ERR_CONFIG' });
  assert.equal(asked().filter((each) => each === post).length, 1);
});
