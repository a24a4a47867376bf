/** The supervisor with fake workers: real threads, no packets, no native code. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { Supervisor, type TaskSpec } from '../../../src/control/plane/supervisor.ts';
import { createObservationMemory } from '../../../src/memory/worker-task.ts';
import { FAKE_EXIT, FAKE_HANG } from '../../support/fake-worker.ts';
import { keepLog } from '../../support/log-lines.ts';
import { until } from '../../support/until.ts';

const WORKER = path.join(import.meta.dirname, '../../support/fake-worker.js');
const BROKEN = path.join(import.meta.dirname, '../../support/fake-broken-worker.js');
const spec = (port = 0): TaskSpec => ({
  cpu: -1,
  table: new SharedArrayBuffer(4),
  localAddresses: new SharedArrayBuffer(4),
  observation: createObservationMemory(),
  encap: { kind: 'udp', port },
  sourceCheck: 'lease',
  links: [],
});

/** The supervisor uses only the eventfd functions of the addon. */
function setUp(t: TestContext, specs: TaskSpec[], file = WORKER) {
  const { log, messages } = keepLog();
  const closed: number[] = [];
  let fds = 0;
  const addon = {
    openWake: () => ++fds,
    wake: () => undefined,
    close: (fd: number) => closed.push(fd),
  };
  const supervisor = new Supervisor(addon, log, specs.length, file);
  let stopped: Promise<void> | undefined;
  const stop = () => (stopped ??= supervisor.stop());
  t.after(stop);
  supervisor.start(specs);
  return { supervisor, messages, closed, stop };
}

test('workers run, report their table generation, and stop when told', async (t) => {
  const { supervisor, closed, stop } = setUp(t, [spec(), spec()]);
  await until('both report their table', () => supervisor.seenGenerations().length === 2);
  assert.deepEqual(supervisor.seenGenerations(), [7, 7]);
  await stop();
  assert.deepEqual(
    supervisor.status().map((worker) => worker.state),
    ['stopped', 'stopped'],
  );
  await until('the eventfds are closed behind the threads', () => closed.length === 2);
  assert.deepEqual(closed, [1, 2]);
});

test('a worker that throws is started again; the others go on and its counters stay', async (t) => {
  const { supervisor, messages } = setUp(t, [spec(), spec()]);
  await until('both have a heartbeat', () =>
    supervisor.status().every((worker) => worker.heartbeat > 0),
  );
  supervisor.fail(1, 'fail');
  await until('the new worker counts on', () => supervisor.counterBlocks()[1]?.[0] === 2);
  const [first, second] = supervisor.status();
  assert.equal(first?.restarts, 0);
  assert.equal(second?.restarts, 1);
  assert.equal(second?.state, 'running');
  assert.ok(messages.some((message) => message.includes('told to fail')));
  assert.throws(() => supervisor.fail(2, 'fail'), RangeError);
});

test('a thread that ends is replaced with its task', async (t) => {
  const { supervisor } = setUp(t, [spec(FAKE_EXIT), spec()]);
  await until('the thread was replaced twice', () => (supervisor.status()[0]?.restarts ?? 0) >= 2);
  assert.equal(supervisor.status()[1]?.restarts, 0);
});

test('threads that cannot load are tried again and again, and do not end the daemon', async (t) => {
  const { supervisor, stop } = setUp(t, [spec()], BROKEN);
  await until('it was tried three times', () => (supervisor.status()[0]?.restarts ?? 0) >= 3);
  await stop();
  assert.equal(supervisor.status()[0]?.state, 'stopped');
});

test('a heartbeat that stands still is said once, and its return too', async (t) => {
  const hang = spec(FAKE_HANG);
  const word = new Int32Array(hang.table);
  const { supervisor, messages } = setUp(t, [hang]);
  await until('it has seen the table', () => supervisor.seenGenerations().length === 1);
  Atomics.store(word, 0, 1);
  // A beat that was under way when the word changed counts for one look; afterwards none moves.
  let nowMs = Date.now();
  await until('it is stuck', () => {
    nowMs += 6_000;
    supervisor.checkHeartbeats(nowMs);
    return supervisor.status()[0]?.state === 'stuck';
  });
  supervisor.checkHeartbeats(nowMs + 60_000);
  assert.equal(messages.filter((message) => message.includes('stuck')).length, 1);
  assert.deepEqual(supervisor.seenGenerations(), [7], 'it may still read the table');
  Atomics.store(word, 0, 0);
  await until('it goes on', () => {
    supervisor.checkHeartbeats(nowMs);
    return supervisor.status()[0]?.state === 'running';
  });
  assert.ok(messages.includes('worker goes on'));
});

test('a stopped worker is not stuck, however long ago its last beat is', async (t) => {
  const { supervisor, messages, stop } = setUp(t, [spec()]);
  await until('it has seen the table', () => supervisor.seenGenerations().length === 1);
  await stop();
  supervisor.checkHeartbeats(Date.now() + 60_000);
  assert.equal(supervisor.status()[0]?.state, 'stopped');
  assert.deepEqual(messages, []);
});
