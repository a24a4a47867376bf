/** Which events are written of what is said, and when (fake server: a list of calls). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubernetesClient } from '../../../../src/cluster/kubernetes/client.ts';
import { KubernetesError } from '../../../../src/cluster/kubernetes/failure.ts';
import { NodeEvents } from '../../../../src/cluster/kubernetes/node-events.ts';
import { FakeClock, settle } from '../../../support/fake-clock.ts';
import { keepLog } from '../../../support/log-lines.ts';

const EVENTS = '/api/v1/namespaces/default/events';
const MINUTE = 60_000;

interface Call {
  method: string;
  path: string;
  body: Record<string, unknown> & { metadata?: { name: string } };
}

function setUp() {
  const calls: Call[] = [];
  const server = { failure: undefined as KubernetesError | undefined };
  const call = (method: string) => async (path: string, body: Call['body']) => {
    calls.push({ method, path, body });
    if (server.failure) throw server.failure;
    return body;
  };
  const client = { post: call('POST'), patch: call('PATCH') } as unknown as KubernetesClient;
  const clock = new FakeClock();
  const { log, messages } = keepLog();
  const events = new NodeEvents(client, { log, clock });
  events.about({ name: 'n1', uid: 'u1' });
  const tell = async (reason: string, text = 'why'): Promise<void> => {
    events.tell({ reason, isWarning: true, text });
    await settle();
  };
  return { events, calls, server, clock, messages, tell };
}

test('an event is about the Node, with its uid, from weft', async () => {
  const { calls, tell } = setUp();
  await tell('WorkerRestarts', 'it ended\nby itself');
  const name = calls[0]?.body.metadata?.name ?? '';
  assert.match(name, /^n1\.[0-9a-f]{16}$/);
  const time = '2026-01-01T00:00:00Z';
  assert.deepEqual(calls, [
    {
      method: 'POST',
      path: EVENTS,
      body: {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { name, namespace: 'default' },
        involvedObject: { apiVersion: 'v1', kind: 'Node', name: 'n1', uid: 'u1' },
        reason: 'WorkerRestarts',
        type: 'Warning',
        source: { component: 'weft', host: 'n1' },
        reportingComponent: 'weft',
        reportingInstance: 'n1',
        firstTimestamp: time,
        message: 'it ended\\nby itself',
        count: 1,
        lastTimestamp: time,
      },
    },
  ]);
});

test('the same again within ten minutes is counted, and written once at their end', async () => {
  const { calls, clock, tell } = setUp();
  for (let i = 0; i < 50; i++) {
    await tell('WorkerRestarts', `time ${i}`);
    await clock.move(10_000);
  }
  assert.equal(calls.length, 1);
  await clock.move(3 * MINUTE);
  assert.equal(calls.length, 2);
  const [{ path = '', body } = {}] = calls.slice(1);
  assert.equal(path, `${EVENTS}/${calls[0]?.body.metadata?.name}`);
  assert.deepEqual(body, { message: 'time 49', count: 50, lastTimestamp: '2026-01-01T00:08:10Z' });
  await clock.move(60 * MINUTE);
  assert.equal(calls.length, 2);
});

test('ten an hour, whatever the reasons and whoever sets the clock; the rest comes later', async () => {
  const { calls, clock, tell } = setUp();
  for (let i = 0; i < 15; i++) await tell(`Reason${i}`);
  clock.setCalendar(24 * 60 * MINUTE);
  await clock.move(59 * MINUTE);
  assert.equal(calls.length, 10);
  await clock.move(2 * MINUTE);
  assert.equal(calls.length, 15);
  assert.equal(clock.waiting, 0);
});

test('without the right to events: one line, nothing more is asked for', async () => {
  const { calls, server, clock, messages, tell } = setUp();
  server.failure = new KubernetesError('refused', 'POST: 403 Forbidden', { status: 403 });
  for (const reason of ['A', 'B', 'A']) await tell(reason);
  await clock.move(60 * MINUTE);
  assert.equal(calls.length, 1);
  assert.deepEqual(messages, ['no events are written to this Node: POST: 403 Forbidden']);
  assert.equal(clock.waiting, 0);
});

test('a server that does not answer is asked again, without a word', async () => {
  const { calls, server, clock, messages, tell } = setUp();
  server.failure = new KubernetesError('unavailable', 'no answer');
  await tell('A');
  await clock.move(MINUTE);
  assert.ok(calls.length > 1);
  server.failure = undefined;
  await clock.move(MINUTE);
  const count = calls.length;
  await clock.move(60 * MINUTE);
  assert.equal(calls.length, count);
  const names = new Set(calls.map(({ body }) => body.metadata?.name));
  assert.equal(names.size, 1);
  assert.deepEqual(messages, []);
});

test('an answer that was lost: the event is there and is changed, not made twice', async () => {
  const { calls, server, clock, tell } = setUp();
  server.failure = new KubernetesError('conflict', 'is there already', { status: 409 });
  await tell('A');
  server.failure = undefined;
  await clock.move(MINUTE);
  assert.deepEqual(
    calls.map(({ method }) => method),
    ['POST', 'PATCH'],
  );
});

test('an event that the server has forgotten, and one of a Node that was made anew, is another one', async () => {
  const { events, calls, server, clock, tell } = setUp();
  await tell('A');
  await clock.move(11 * MINUTE);
  server.failure = new KubernetesError('not found', 'gone', { status: 404 });
  await tell('A');
  server.failure = undefined;
  await clock.move(MINUTE);
  events.about({ name: 'n1', uid: 'u2' });
  await clock.move(11 * MINUTE);
  await tell('A');
  assert.deepEqual(
    calls.map(({ method }) => method),
    ['POST', 'PATCH', 'POST', 'POST'],
  );
  const names = new Set(calls.flatMap(({ body }) => body.metadata?.name ?? []));
  assert.equal(names.size, 3);
  assert.deepEqual(calls.at(-1)?.body['involvedObject'], {
    ...{ apiVersion: 'v1', kind: 'Node', name: 'n1', uid: 'u2' },
  });
});

test('after the end nothing is written', async () => {
  const { events, calls, clock, tell } = setUp();
  events.stop();
  await tell('A');
  await clock.move(MINUTE);
  assert.equal(calls.length, 0);
});
