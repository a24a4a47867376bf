import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { type TestContext, test } from 'node:test';
import {
  CollectionWatch,
  type CollectionWish,
  type Report,
  TIMING,
  type Timing,
} from '../../../../src/cluster/kubernetes/collection-watch.ts';
import type { KubernetesObject } from '../../../../src/cluster/kubernetes/object.ts';
import { Lines } from '../../../../src/cluster/kubernetes/watch-stream.ts';
import { FakeApi, json, list, node, refuse } from '../../../support/fake-api.ts';
import { until } from '../../../support/until.ts';

/** Short waits: what they bound is the test's own. */
const QUICK: Timing = { ...TIMING, deliveryMs: 1, backoffMsMin: 1, backoffMsMax: 20 };

interface Seen {
  names: () => string;
  reports: { changes: string; isWhole: boolean }[];
  errors: Error[];
  stop(): Promise<void>;
}

/** Changes as text: "+a -b". */
function textOf(changes: Report<string>['changes']): string {
  return [...changes]
    .map(([name, record]) => `${record === undefined ? '-' : '+'}${name}`)
    .join(' ');
}

function watch(
  t: TestContext,
  fake: FakeApi,
  timing: Partial<Timing> = {},
  more: Partial<CollectionWish<string>> = {},
): Seen {
  let records: ReadonlyMap<string, string> = new Map();
  const abort = new AbortController();
  const reports: Seen['reports'] = [];
  const errors: Error[] = [];
  const wish: CollectionWish<string> = {
    path: '/api/v1/nodes',
    reduce: ({ metadata }: KubernetesObject) => metadata?.annotations?.['data'] ?? 'none',
    onReport(report) {
      records = report.records;
      reports.push({ changes: textOf(report.changes), isWhole: report.isWhole });
    },
    onError: (error) => errors.push(error),
    ...more,
  };
  const end = new CollectionWatch(fake.client(t), wish, { ...QUICK, ...timing }).run(abort.signal);
  const stop = (): Promise<void> => {
    abort.abort();
    return end;
  };
  t.after(stop);
  return { names: () => [...records.keys()].join(), reports, errors, stop };
}

function say(response: ServerResponse, type: string, object: object): void {
  response.write(`${JSON.stringify({ type, object })}\n`);
}

/** A fake whose lists come from `state`; watches are handed out one after the other. */
async function fakeWith(t: TestContext, state: { items: object[]; version: number }) {
  const watches: { response: ServerResponse; version: string | null }[] = [];
  let lists = 0;
  const fake = await FakeApi.start(t, (query, response) => {
    if (query.has('watch')) {
      watches.push({ response, version: query.get('resourceVersion') });
      return response.writeHead(200).flushHeaders();
    }
    if (query.get('limit') !== '1') lists++;
    return json(response, list(state.items, state.version));
  });
  const nth = async (n: number) => {
    await until(`watch ${n}`, () => watches.length >= n);
    return watches[n - 1]!;
  };
  return { fake, nth, lists: () => lists };
}

test('fake server: a list, then events; a changed version alone is no news', async (t) => {
  const { fake, nth } = await fakeWith(t, { items: [node('a'), node('b')], version: 5 });
  const seen = watch(t, fake);
  const { response, version } = await nth(1);
  assert.equal(version, '5');
  assert.deepEqual(seen.reports, [{ changes: '+a +b', isWhole: true }]);
  say(response, 'MODIFIED', node('a', 6));
  say(response, 'DELETED', node('b', 7));
  say(response, 'ADDED', node('c', 8));
  await until('c', () => seen.names() === 'a,c');
  assert.ok(seen.reports.slice(1).every(({ changes }) => !/a/.test(changes)));
  assert.ok(seen.reports.slice(1).every(({ isWhole }) => !isWhole));
  assert.deepEqual(seen.errors, []);
});

test('fake server: many events are one report, and what is urgent does not wait', async (t) => {
  const { fake, nth } = await fakeWith(t, { items: [], version: 1 });
  const seen = watch(t, fake, { deliveryMs: 3_600_000 }, { isUrgent: (name) => name === 'own' });
  const { response } = await nth(1);
  for (let i = 0; i < 50; i++) say(response, 'ADDED', node(`n${i}`, i + 2));
  say(response, 'ADDED', node('own', 99));
  await until('own', () => seen.names().includes('own'));
  assert.equal(seen.reports.length, 2);
  assert.equal(seen.reports[1]?.changes.split(' ').length, 51);
});

test('fake server: a watch that ends goes on from the last version, bookmarks included', async (t) => {
  const state = { items: [node('a')] as object[], version: 5 };
  const { fake, nth, lists } = await fakeWith(t, state);
  const seen = watch(t, fake);
  const first = await nth(1);
  state.version = 90;
  say(first.response, 'BOOKMARK', { metadata: { resourceVersion: '80' } });
  first.response.end();
  const second = await nth(2);
  assert.equal(second.version, '80');
  assert.equal(lists(), 1);
  assert.equal(seen.reports.length, 1);
});

test('fake server: a version it forgot, in the stream or as an answer, means a new list', async (t) => {
  const state = { items: [node('a'), node('b')] as object[], version: 5 };
  const { fake, nth } = await fakeWith(t, state);
  const seen = watch(t, fake);
  const { response } = await nth(1);
  state.items = [node('a'), node('c', 8)];
  state.version = 9;
  say(response, 'ERROR', { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' });
  assert.equal((await nth(2)).version, '9');
  assert.equal(seen.names(), 'a,c');
  assert.deepEqual(seen.errors, []);
  assert.ok(seen.reports.some(({ changes }) => changes.includes('-b')));
});

test('fake server: a watch refused with 410 means a new list', async (t) => {
  let refusals = 0;
  let version = 5;
  const fake = await FakeApi.start(t, (query, response) => {
    if (!query.has('watch')) return json(response, list([node(`at-${version}`)], version));
    if (refusals++ > 0) return response.writeHead(200).flushHeaders();
    version = 9;
    return refuse(response, 410);
  });
  const seen = watch(t, fake);
  await until('other list', () => seen.names() === 'at-9');
  assert.deepEqual(seen.errors, []);
});

test('fake server: silence from the first moment means a new list and no alarm', async (t) => {
  const state = { items: [node('a')] as object[], version: 5 };
  const { fake, nth, lists } = await fakeWith(t, state);
  const seen = watch(t, fake, { silenceMs: 20 });
  await nth(1);
  state.items = [node('b', 6)];
  await until('the new list', () => seen.names() === 'b');
  assert.ok(lists() > 1);
  assert.deepEqual(seen.errors, []);
});

test('fake server: a state from before ours (etcd restored) means a new list', async (t) => {
  const state = { items: [node('a', 500), node('b', 499)] as object[], version: 500 };
  const { fake, nth } = await fakeWith(t, state);
  const seen = watch(t, fake);
  const { response } = await nth(1);
  state.items = [node('a', 300, { annotations: { data: 'older' } })];
  state.version = 301;
  response.destroy();
  assert.equal((await nth(2)).version, '301');
  assert.equal(seen.names(), 'a');
});

test('fake server: what is no event is an error, and all is listed anew', async (t) => {
  const state = { items: [node('a')] as object[], version: 5 };
  const { fake, nth } = await fakeWith(t, state);
  const seen = watch(t, fake);
  const junk = ['{"type": ', 'null', '{"type":"ADDED"}', '{"type":"ADDED","object":{}}'];
  for (const [i, line] of junk.entries()) {
    const { response } = await nth(i + 1);
    state.items = [node(`after-${i}`, 6 + i)];
    response.write(`${line}\n`);
    await until('the new list', () => seen.names() === `after-${i}`);
    assert.equal(seen.errors.length, i + 1);
    assert.equal(seen.reports.at(-1)?.isWhole, true);
  }
});

test('fake server: an object that is larger than we take ends the watch with an error', async (t) => {
  const { fake, nth } = await fakeWith(t, { items: [node('a')], version: 5 });
  const seen = watch(t, fake);
  const { response } = await nth(1);
  response.write('x'.repeat(9 << 20));
  await until('an error', () => seen.errors.length > 0);
  assert.match(seen.errors[0]!.message, /an event is larger than 8388608 bytes/);
  await nth(2);
});

test('fake server: gone and back: errors, then a whole report although nothing changed', async (t) => {
  let isAway = false;
  const fake = await FakeApi.start(t, (query, response) => {
    if (isAway) refuse(response, 500, 'etcd is away');
    else if (query.has('watch')) response.writeHead(200).flushHeaders();
    else json(response, list([node('a')], 5));
  });
  const seen = watch(t, fake);
  await until('a watch', () => fake.requests.some(({ url }) => /watch/.test(url)));
  isAway = true;
  fake.cut();
  await until('errors', () => seen.errors.length > 1);
  isAway = false;
  await until('a report', () => seen.reports.length > 1);
  assert.deepEqual(seen.reports, [
    { changes: '+a', isWhole: true },
    { changes: '+a', isWhole: true },
  ]);
});

test('fake server: nothing is left of a watch that was stopped', async (t) => {
  const { fake, nth } = await fakeWith(t, { items: [node('a')], version: 5 });
  const client = fake.client(t);
  const abort = new AbortController();
  const wish = { path: '/api/v1/nodes', reduce: () => 1, onReport: () => {}, onError: () => {} };
  const end = new CollectionWatch(client, wish, QUICK).run(abort.signal);
  await nth(1);
  abort.abort();
  await end;
  client.close();
  await until('no connection', () => fake.sockets.size === 0);
});

test('lines are whole whatever the parts, and empty ones are left out', () => {
  const bytes = Buffer.from('{"a":"ä€"}\n\n{"b":2}\n{"c"');
  for (let size = 1; size <= bytes.length; size++) {
    const lines = new Lines('here');
    const found: string[] = [];
    for (let at = 0; at < bytes.length; at += size)
      found.push(...lines.add(bytes.subarray(at, at + size)));
    assert.deepEqual(found, ['{"a":"ä€"}', '{"b":2}']);
  }
});
