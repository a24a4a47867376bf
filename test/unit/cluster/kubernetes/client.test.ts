import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { KubernetesError } from '../../../../src/cluster/kubernetes/failure.ts';
import { listObjects } from '../../../../src/cluster/kubernetes/list.ts';
import { isOlder } from '../../../../src/cluster/kubernetes/object.ts';
import { FakeApi, json, list, node, refuse } from '../../../support/fake-api.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { temporaryFolder } from '../../../support/folder.ts';
import { activeIn, HOSTILE_TEXTS } from '../../../support/hostile-text.ts';

const NODES = '/api/v1/nodes';

async function failure(call: Promise<unknown>): Promise<KubernetesError> {
  const error = await call.catch((thrown: unknown) => thrown);
  assert.ok(error instanceof KubernetesError, String(error));
  return error;
}

test('fake server: what a failure is for the caller', async (t) => {
  let status = 0;
  const fake = await FakeApi.start(t, (_, response) => refuse(response, status));
  const client = fake.client(t);
  const kinds = {
    400: ['refused', 'ERR_STORE_REFUSED'],
    401: ['refused', 'ERR_STORE_REFUSED'],
    404: ['not found', 'ERR_STORE_NOT_FOUND'],
    408: ['unavailable', 'ERR_STORE_UNAVAILABLE'],
    409: ['conflict', 'ERR_STORE_CONFLICT'],
    410: ['gone', 'ERR_STORE_GONE'],
    422: ['refused', 'ERR_STORE_REFUSED'],
    500: ['unavailable', 'ERR_STORE_UNAVAILABLE'],
    504: ['unavailable', 'ERR_STORE_UNAVAILABLE'],
  };
  for (const [each, [kind, code]] of Object.entries(kinds)) {
    status = Number(each);
    const error = await failure(client.get(NODES));
    assert.deepEqual([error.kind, error.code, error.status], [kind, code, status]);
    assert.match(error.message, /^kubernetes http:\/\/127.0.0.1:\d+: GET \/api\/v1\/nodes: /);
  }
});

test('fake server: a server that starts refuses everybody; one that goes on refusing means it', async (t) => {
  let status = 403;
  const clock = new FakeClock();
  const fake = await FakeApi.start(t, (_, response) => refuse(response, status));
  const client = fake.client(t, {}, clock);
  assert.equal((await failure(client.get(NODES))).kind, 'unavailable');
  await clock.move(9_000);
  assert.equal((await failure(client.get(NODES))).kind, 'unavailable');
  await clock.move(2_000);
  const refused = await failure(client.get(NODES));
  assert.equal(refused.kind, 'refused');
  assert.match(refused.message, /ServiceAccount/);
  status = 200;
  await client.get(NODES);
  status = 403;
  assert.equal((await failure(client.get(NODES))).kind, 'unavailable');
});

test('fake server: a busy one is left alone for as long as it wants', async (t) => {
  const clock = new FakeClock();
  let isBusy = true;
  const fake = await FakeApi.start(t, (_, response) => {
    if (isBusy) refuse(response, 429, 'slow down', { 'retry-after': '20' });
    else json(response, {});
  });
  const client = fake.client(t, {}, clock);
  const first = await failure(client.get(NODES));
  assert.deepEqual([first.kind, first.retryAfterMs], ['unavailable', 20_000]);
  isBusy = false;
  clock.setCalendar(3_600_000); // nobody's setting of the time shortens it
  const second = await failure(client.get(NODES));
  assert.deepEqual([second.kind, second.retryAfterMs], ['unavailable', 20_000]);
  assert.equal(fake.requests.length, 1);
  clock.setCalendar(-7_200_000); // nor makes it longer
  await clock.move(18_000);
  const third = client.get(NODES); // a short wait is part of the call
  await clock.move(1_999);
  assert.equal(fake.requests.length, 1);
  await clock.move(1);
  await third;
  assert.equal(fake.requests.length, 2);
});

test('fake server: a token that was rotated is read again at the first refusal', async (t) => {
  const tokenFile = path.join(await temporaryFolder(t), 'token');
  await writeFile(tokenFile, 'old-token\n');
  const answers = [200, 401, 200, 401];
  const fake = await FakeApi.start(t, (_, response) => refuse(response, answers.shift() ?? 500));
  const client = fake.client(t, { tokenFile });
  await client.get(NODES);
  await writeFile(tokenFile, 'new-token\n');
  await client.get(NODES);
  assert.equal(fake.requests.length, 3);
  // Nothing new to try.
  assert.equal((await failure(client.get(NODES))).kind, 'refused');
  assert.equal(fake.requests.length, 4);
});

test('fake server: nothing secret goes over plain http, nor into a message', async (t) => {
  const folder = await temporaryFolder(t);
  const fake = await FakeApi.start(t, (_, response) => json(response, {}));
  await fake.client(t, { token: 'very-secret' }).get(NODES);
  await fake.client(t, { basic: { username: 'me', password: 'very-secret' } }).get(NODES);
  for (const { headers } of fake.requests) assert.equal(headers.authorization, undefined);
  const tokenFile = path.join(folder, 'token');
  await writeFile(tokenFile, 'very-secret\ntwo');
  const error = await failure(fake.client(t, { tokenFile }).get(NODES));
  assert.match(error.message, /holds no token/);
  assert.doesNotMatch(error.message, /very-secret/);
  const ca = { file: path.join(folder, 'ca.crt') };
  assert.match((await failure(fake.client(t, { ca }).get(NODES))).message, /ENOENT.*ca\.crt/);
  await writeFile(ca.file, '-----BEGIN CERTIFICATE-----\nvery-secret\n-----END CERTIFICATE-----\n');
  const bad = await failure(fake.client(t, { ca }).get(NODES));
  assert.match(bad.message, /can't be used.*ca\.crt/);
  assert.doesNotMatch(bad.message, /very-secret/);
});

test('fake server: a file that can no more be read leaves the last token in use', async (t) => {
  const tokenFile = path.join(await temporaryFolder(t), 'token');
  await writeFile(tokenFile, 'token');
  const clock = new FakeClock();
  const fake = await FakeApi.start(t, (_, response) => json(response, {}));
  const client = fake.client(t, { tokenFile }, clock);
  await client.get(NODES);
  await writeFile(tokenFile, '');
  await clock.move(61_000);
  await client.get(NODES);
});

test('fake server: what it says acts on no terminal and is bounded', async (t) => {
  let text = '';
  const fake = await FakeApi.start(t, (_, response) => refuse(response, 400, text));
  const client = fake.client(t);
  for (text of HOSTILE_TEXTS) {
    const { message } = await failure(client.get(NODES));
    assert.equal(activeIn(message, ''), '');
    assert.ok(message.length < 1_000);
  }
});

test('fake server: not JSON, silence, and nobody there', async (t) => {
  const fake = await FakeApi.start(t, (query, response) => {
    if (!query.has('silent')) response.end('<html>');
  });
  const clock = new FakeClock();
  const client = fake.client(t, {}, clock);
  assert.match((await failure(client.get(NODES))).message, /not a Kubernetes API server/);
  const silent = failure(client.get(`${NODES}?silent=1`));
  while (fake.requests.length < 2) await new Promise(setImmediate);
  await clock.move(10_000);
  const late = await silent;
  assert.deepEqual([late.kind, /no answer within 10 s/.test(late.message)], ['unavailable', true]);
  assert.equal(clock.waiting, 0);
  const abort = new AbortController();
  const ended = client.get(`${NODES}?silent=2`, abort.signal);
  abort.abort(new Error('enough'));
  await assert.rejects(ended, /enough/);
  client.close();
  assert.equal((await failure(client.get(NODES))).kind, 'unavailable');
});

test('fake server: a connection that was closed while it waited is no failure', async (t) => {
  const fake = await FakeApi.start(t, (_, response) => json(response, {}));
  const client = fake.client(t);
  for (let round = 0; round < 5; round++) {
    await client.get(NODES);
    fake.cut();
    await client.patch(NODES, {});
  }
  assert.equal(fake.requests.length, 10);
});

test('fake server: a version forgotten between two pages means the list begins anew', async (t) => {
  let isForgotten = true;
  const fake = await FakeApi.start(t, (query, response) => {
    if (!query.has('continue')) return json(response, list([node('a'), node('b')], 7, 'more'));
    if (!isForgotten) return json(response, list([node('c')], 7));
    isForgotten = false;
    return refuse(response, 410, 'too old');
  });
  const found: unknown[] = [];
  const begin = (): void => void found.splice(0);
  const version = await listObjects(fake.client(t), NODES, begin, ({ metadata }) =>
    found.push(metadata?.name),
  );
  assert.deepEqual([version, found], ['7', ['a', 'b', 'c']]);
  assert.equal(fake.requests.length, 4);
});

test('fake server: a page that is larger than we take is asked for in smaller ones', async (t) => {
  const big = { annotations: { big: 'x'.repeat(100_000) } };
  const all = Array.from({ length: 200 }, (_, i) => node(`n${i}`, 1, big));
  const fake = await FakeApi.start(t, (query, response) => {
    const from = Number(query.get('continue') ?? 0);
    const to = from + Number(query.get('limit'));
    json(response, list(all.slice(from, to), 9, to < all.length ? String(to) : ''));
  });
  let count = 0;
  await listObjects(
    fake.client(t),
    NODES,
    () => undefined,
    () => count++,
  );
  assert.equal(count, all.length);
  const limits = fake.requests.map(({ url }) => /limit=(\d+)/.exec(url)?.[1]);
  assert.deepEqual(limits.slice(0, 4), ['500', '125', '32', '32']);
});

test('versions are compared as numbers; what is none is not trusted', () => {
  assert.equal(isOlder('99', '100'), true);
  assert.equal(isOlder('100', '99'), false);
  assert.equal(isOlder('100', '100'), false);
  assert.equal(isOlder('x', 'x'), false);
  assert.equal(isOlder('x', '100'), true);
});
