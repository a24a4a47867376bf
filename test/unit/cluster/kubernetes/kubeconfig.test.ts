import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Access } from '../../../../src/cluster/kubernetes/access.ts';
import { findAccess } from '../../../../src/cluster/kubernetes/find-access.ts';
import { temporaryFolder } from '../../../support/folder.ts';

const CLUSTER = 'clusters: [{name: c, cluster: {server: "https://10.0.0.1:6443"}}]';
const CONTEXT =
  'contexts: [{name: x, context: {cluster: c, user: u, namespace: n}}]\ncurrent-context: x';
const userOf = (user: string): string => `users: [{name: u, user: ${user}}]`;
const withUser = (user: string): string => [CLUSTER, CONTEXT, userOf(user)].join('\n');
const withCluster = (cluster: string): string =>
  [`clusters: [{name: c, cluster: ${cluster}}]`, CONTEXT, userOf('{}')].join('\n');

async function accessOf(t: TestContext, text: string, apiUrl = ''): Promise<Access> {
  const kubeconfigFile = path.join(await temporaryFolder(t), 'config');
  await writeFile(kubeconfigFile, text);
  return findAccess({ apiUrl, kubeconfigFile });
}

async function faultOf(t: TestContext, text: string): Promise<string> {
  const error = await accessOf(t, text).catch((thrown: unknown) => thrown);
  assert.ok(error instanceof Error);
  assert.equal((error as { code?: string }).code, 'ERR_KUBE_ACCESS');
  return error.message;
}

test('the current context counts: its cluster, user and namespace', async (t) => {
  const text = `apiVersion: v1
kind: Config
current-context: second
contexts:
- {name: first, context: {cluster: a, user: a}}
- name: second
  context:
    cluster: b
    user: b
    namespace: pods
clusters:
- {name: a, cluster: {server: "https://a:1"}}
- name: b
  cluster:
    server: https://b.example:6443/k8s/c1
    certificate-authority-data: ${Buffer.from('CA').toString('base64')}
    tls-server-name: api.internal
users:
- {name: a, user: {token: of-a}}
- name: b
  user:
    token: of-b # a word
`;
  const { server, namespace, credentials } = await accessOf(t, text);
  assert.equal(server.href, 'https://b.example:6443/k8s/c1');
  assert.equal(namespace, 'pods');
  assert.deepEqual(credentials, {
    ca: { bytes: Buffer.from('CA') },
    serverName: 'api.internal',
    token: 'of-b',
  });
});

test('JSON is read as well; files are named from the folder of the kubeconfig', async (t) => {
  const user = { 'client-certificate': 'tls/me.crt', 'client-key': '/abs/me.key', tokenFile: 't' };
  const cluster = { server: 'https://[fd00::1]:6443', 'certificate-authority': '../ca.crt' };
  const text = JSON.stringify({
    clusters: [{ name: 'c', cluster }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  });
  const folder = await temporaryFolder(t);
  await mkdir(path.join(folder, 'conf'));
  const kubeconfigFile = path.join(folder, 'conf/config.json');
  await writeFile(kubeconfigFile, text);
  const { server, credentials } = await findAccess({ apiUrl: '', kubeconfigFile });
  assert.equal(server.host, '[fd00::1]:6443');
  assert.deepEqual(credentials, {
    ca: { file: path.join(folder, 'ca.crt') },
    certificate: { file: path.join(folder, 'conf/tls/me.crt') },
    key: { file: '/abs/me.key' },
    tokenFile: path.join(folder, 'conf/t'),
  });
});

test('--kube-api-url takes the place of the server, and its TLS name goes with that', async (t) => {
  const text = withCluster(
    '{server: "https://a", tls-server-name: a, insecure-skip-tls-verify: true}',
  );
  const own = await accessOf(t, text);
  assert.deepEqual(own.credentials, { serverName: 'a', isInsecure: true });
  const other = await accessOf(t, text, 'https://b:6443');
  assert.equal(other.server.host, 'b:6443');
  assert.deepEqual(other.credentials, { isInsecure: true });
});

test('a URL alone brings no credentials; without a scheme it is http', async () => {
  const access = await findAccess({ apiUrl: '127.0.0.1:8080', kubeconfigFile: '' });
  assert.equal(access.server.href, 'http://127.0.0.1:8080/');
  assert.deepEqual(access.credentials, {});
});

test('a server without a scheme is https where there is an authority, else http', async (t) => {
  const trusted = await accessOf(t, withCluster('{server: "a:6443", certificate-authority: ca}'));
  assert.equal(trusted.server.href, 'https://a:6443/');
  const users = userOf('{tokenFile: t}');
  const bare = await accessOf(t, [CLUSTER.replace('https://', ''), CONTEXT, users].join('\n'));
  assert.equal(bare.server.href, 'http://10.0.0.1:6443/');
});

test('user and password are taken', async (t) => {
  const { credentials } = await accessOf(t, withUser('{username: me, password: "p:w"}'));
  assert.deepEqual(credentials, { basic: { username: 'me', password: 'p:w' } });
});

test('what weft does not do is refused with what to do instead', async (t) => {
  assert.match(await faultOf(t, withUser('{exec: {command: aws}}')), /\(exec\).*tokenFile/);
  assert.match(await faultOf(t, withUser('{auth-provider: {name: gcp}}')), /auth-provider/);
  const proxied = withCluster('{server: "https://a", proxy-url: "socks5://p"}');
  assert.match(await faultOf(t, proxied), /proxy-url.*reaches itself/);
});

test('what is wrong is named, and no secret is shown', async (t) => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['current-context: x', /no context "x" among its contexts/],
    [`${CLUSTER}\n${CONTEXT}`, /no user "u" among its users/],
    [CLUSTER, /no current-context/],
    [withCluster('{}'), /no server for the context "x"/],
    [withCluster('{server: "ftp://a"}'), /must begin with https/],
    [withCluster('{server: "https://u:pw-secret@a"}'), /user or a password/],
    [withCluster('{server: 7}'), /"server" that is not text/],
    [
      withCluster(
        '{server: "https://a", certificate-authority: x, insecure-skip-tls-verify: true}',
      ),
      /remove one/,
    ],
    [withUser('{client-key: x}'), /give both/],
    [withUser('{token: "two pw-secret"}'), /not one word/],
    [withUser('{token: 1234}'), /"token" that is not text/],
    ['- a\n- b', /holds no clusters/],
    ['token: pw-secret\n  pw-secret: : [', /is not YAML: [A-Z_]+ at byte \d+/],
  ];
  for (const [text, fault] of cases) {
    const message = await faultOf(t, text);
    assert.match(message, fault);
    assert.doesNotMatch(message, /pw-secret/);
  }
  const missing = findAccess({ apiUrl: '', kubeconfigFile: '/nowhere/config' });
  await assert.rejects(missing, { code: 'ERR_KUBE_ACCESS', message: /ENOENT.*--kubeconfig-file/ });
});

test('in a pod: the service account, also behind an IPv6 address', async (t) => {
  const serviceAccountFolder = await temporaryFolder(t);
  await writeFile(path.join(serviceAccountFolder, 'namespace'), 'kube-weft\n');
  const environment = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' };
  const none = { apiUrl: '', kubeconfigFile: '' };
  const access = await findAccess(none, { environment, serviceAccountFolder });
  assert.equal(access.server.href, 'https://[fd00::1]/');
  assert.equal(access.namespace, 'kube-weft');
  assert.deepEqual(access.credentials, {
    ca: { file: path.join(serviceAccountFolder, 'ca.crt') },
    tokenFile: path.join(serviceAccountFolder, 'token'),
  });
});

test('neither flags nor a pod: says what to give', async () => {
  const nowhere = { environment: {}, serviceAccountFolder: '/nowhere' };
  await assert.rejects(findAccess({ apiUrl: '', kubeconfigFile: '' }, nowhere), {
    code: 'ERR_KUBE_ACCESS',
    message: /not a pod.*give --kubeconfig-file or --kube-api-url/,
  });
});
