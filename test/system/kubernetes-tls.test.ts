/** Files of the Kubernetes client that are replaced while it runs, over TLS: a fake server stands for one whose own certificates change. */
import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import type https from 'node:https';
import path from 'node:path';
import type { TestContext } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { Authority, type Certificate } from '../../lab/certificates.ts';
import type { CredentialSource } from '../../src/cluster/kubernetes/credentials.ts';
import { FakeApi, json, refuse } from '../support/fake-api.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { temporaryFolder } from '../support/folder.ts';
import { needs } from '../support/needs.ts';

const { test } = needs('openssl');

const NODES = '/api/v1/nodes';

function pemsOf({ certFile, keyFile }: Certificate): { cert: Buffer; key: Buffer } {
  return { cert: readFileSync(certFile), key: readFileSync(keyFile) };
}

/** A server that knows one authority of clients, and tells what it saw of the last one. */
async function secureServer(t: TestContext, more: https.ServerOptions = {}) {
  const folder = await temporaryFolder(t);
  const authority = await Authority.create(folder, 'ca');
  const ca = readFileSync(authority.caFile);
  const tls = { ca, requestCert: true, rejectUnauthorized: false };
  const own = pemsOf(await authority.issue('server'));
  const seen = { client: '', authorization: '' };
  let token = '';
  const answer = (_: URLSearchParams, response: import('node:http').ServerResponse): void => {
    const { socket, headers } = response.req;
    seen.client = String((socket as TLSSocket).getPeerCertificate().subject?.CN);
    seen.authorization = headers.authorization ?? '';
    if (token === '' || seen.authorization === `Bearer ${token}`) json(response, {});
    else refuse(response, 401);
  };
  const fake = await FakeApi.start(t, answer, { ...tls, ...own, ...more });
  const change = (changed: object): void => {
    (fake.server as https.Server).setSecureContext({ ...tls, ...own, ...changed });
    fake.cut();
  };
  const expect = (wanted: string): void => {
    token = wanted;
  };
  return { folder, authority, fake, seen, change, expect };
}

test('fake server: its authority is replaced, and so is the file', async (t) => {
  const { folder, authority, fake, change } = await secureServer(t);
  const file = path.join(folder, 'trusted.crt');
  copyFileSync(authority.caFile, file);
  const client = fake.client(t, { ca: { file } });
  await client.get(NODES);
  const other = await Authority.create(folder, 'other');
  change(pemsOf(await other.issue('server')));
  await assert.rejects(client.get(NODES), {
    kind: 'unavailable',
    message: /check the certificate authority/,
  });
  copyFileSync(other.caFile, file);
  await client.get(NODES);
});

test('fake server: the client certificate is replaced: within a minute the new one is shown', async (t) => {
  const { folder, authority, fake, seen } = await secureServer(t);
  const [cert, key] = [path.join(folder, 'me.crt'), path.join(folder, 'me.key')];
  const use = async (name: string): Promise<void> => {
    const issued = await authority.issue(name);
    copyFileSync(issued.certFile, cert);
    copyFileSync(issued.keyFile, key);
  };
  await use('first');
  const files = { certificate: { file: cert }, key: { file: key } };
  const clock = new FakeClock();
  const client = fake.client(t, { ca: { file: authority.caFile }, ...files }, clock);
  await client.get(NODES);
  assert.equal(seen.client, 'first');
  await use('second');
  // Half of it for a moment: what is no pair is not used.
  const whole = readFileSync(key);
  writeFileSync(key, whole.subarray(0, 40));
  await clock.move(61_000);
  await client.get(NODES);
  assert.equal(seen.client, 'first');
  writeFileSync(key, whole);
  await clock.move(61_000);
  await client.get(NODES);
  assert.equal(seen.client, 'second');
});

test('fake server: a token is read again each minute, and at once when it is refused', async (t) => {
  const { folder, authority, fake, seen, expect } = await secureServer(t);
  const tokenFile = path.join(folder, 'token');
  writeFileSync(tokenFile, 'one');
  const clock = new FakeClock();
  const client = fake.client(t, { ca: { file: authority.caFile }, tokenFile }, clock);
  await client.get(NODES);
  assert.equal(seen.authorization, 'Bearer one');
  writeFileSync(tokenFile, 'two');
  await clock.move(61_000);
  await client.get(NODES);
  assert.equal(seen.authorization, 'Bearer two');
  writeFileSync(tokenFile, 'three');
  expect('three');
  await client.get(NODES);
  assert.equal(seen.authorization, 'Bearer three');
});

test('fake server: user and password; another name in the certificate; no check at all', async (t) => {
  const { authority, fake, seen, change } = await secureServer(t);
  const ca = { file: authority.caFile };
  const basic = { username: 'me', password: 'pw' };
  await fake.client(t, { ca, basic }).get(NODES);
  assert.equal(seen.authorization, `Basic ${Buffer.from('me:pw').toString('base64')}`);
  const elsewhere = await authority.issue('named', '192.0.2.1', {
    alternatives: ['DNS:api.internal'],
  });
  change(pemsOf(elsewhere));
  const get = (more: CredentialSource): Promise<unknown> => fake.client(t, more).get(NODES);
  await assert.rejects(get({ ca }), { message: /names in the server's certificate/ });
  await get({ ca, serverName: 'api.internal' });
  await get({ isInsecure: true });
  await assert.rejects(get({}), { kind: 'unavailable' });
});

test('fake server: one that wants a client certificate says so in a message that people can read', async (t) => {
  const { authority, fake } = await secureServer(t, { rejectUnauthorized: true });
  await assert.rejects(fake.client(t, { ca: { file: authority.caFile } }).get(NODES), {
    kind: 'unavailable',
    message: /nodes: tlsv13 alert certificate required; check the client certificate/,
  });
});
