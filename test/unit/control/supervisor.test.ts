/** The supervisor with fake workers: real threads, no packets, no native code. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Supervisor, type TaskSpec } from '../../../src/control/plane/supervisor.ts';
import { createObservationMemory } from '../../../src/memory/worker-task.ts';
import { FAKE_DEEP, FAKE_EXIT, FAKE_HANG, FAKE_LOADING } from '../../support/fake-worker.ts';
import { temporaryFolder } from '../../support/folder.ts';
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
  const exits: number[] = [];
  let fds = 0;
  const addon = {
    openWake: () => ++fds,
    wake: () => undefined,
    close: (fd: number) => closed.push(fd),
    exitNow: (code: number) => exits.push(code),
  };
  const supervisor = new Supervisor(addon, log, specs.length, file);
  let stopped: Promise<void> | undefined;
  const stop = () => (stopped ??= supervisor.stop());
  t.after(stop);
  supervisor.start(specs);
  return { supervisor, messages, closed, exits, stop };
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

test('after a rest the same threads take new tasks', async (t) => {
  const { supervisor, closed } = setUp(t, [spec(), spec()]);
  const threads = () => [...readdirSync('/proc/self/task')].length;
  await until('both report their table', () => supervisor.seenGenerations().length === 2);
  const before = threads();
  for (let round = 1; round <= 3; round++) {
    assert.equal(await supervisor.rest(), true);
    assert.equal(closed.length, 2 * round);
    supervisor.start([spec(), spec()]);
    await until('both report their table', () => supervisor.seenGenerations().length === 2);
    assert.equal(threads(), before);
  }
  supervisor.fail(0, 'fail');
  await until('a worker is still started again', () => supervisor.status()[0]?.restarts === 1);
});

test('a rest with a task that does not return says so', async (t) => {
  const { supervisor } = setUp(t, [spec(FAKE_LOADING), spec()]);
  assert.equal(await supervisor.rest(), false);
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

/** What the watch sees of a worker in so many seconds, now. */
function look(supervisor: Supervisor, times: number): void {
  for (let i = 0; i < times; i++) supervisor.look();
}

async function standsStill(supervisor: Supervisor): Promise<void> {
  const beat = () => supervisor.status()[0]?.heartbeat;
  await until('its heart stands still', async () => {
    const before = beat();
    await sleep(50);
    return beat() === before;
  });
}

test('a heartbeat that stands still is said once, and its return too', async (t) => {
  const hang = spec(FAKE_HANG);
  const word = new Int32Array(hang.table);
  const { supervisor, messages } = setUp(t, [hang]);
  await until('it has seen the table', () => supervisor.seenGenerations().length === 1);
  Atomics.store(word, 0, 1);
  await standsStill(supervisor);
  look(supervisor, 6);
  assert.equal(supervisor.status()[0]?.state, 'stuck');
  assert.equal(messages.filter((message) => message.includes('stuck')).length, 1);
  assert.deepEqual(supervisor.seenGenerations(), [7], 'it may still read the table');
  const stood = supervisor.status()[0]?.heartbeat;
  Atomics.store(word, 0, 0);
  await until('its heart beats', () => supervisor.status()[0]?.heartbeat !== stood);
  look(supervisor, 1);
  assert.equal(supervisor.status()[0]?.state, 'running');
  assert.ok(messages.includes('worker goes on'));
});

test('a worker that hangs in its script gets another thread; its counters stay', async (t) => {
  const { supervisor, messages, exits } = setUp(t, [spec()]);
  await until('it has a heartbeat', () => (supervisor.status()[0]?.heartbeat ?? 0) > 0);
  supervisor.fail(0, 'hang');
  await standsStill(supervisor);
  look(supervisor, 12);
  await until('another thread counts on', () => supervisor.counterBlocks()[0]?.[0] === 2);
  const [worker] = supervisor.status();
  assert.deepEqual([worker?.state, worker?.restarts, exits], ['running', 1, []]);
  assert.equal(messages.filter((message) => message.includes('its thread is ended')).length, 1);
});

test('a worker that hangs in a system call is not replaced, because it may go on: the process ends', async (t) => {
  const pipe = path.join(await temporaryFolder(t), 'pipe');
  execFileSync('mkfifo', [pipe]);
  process.env['WEFT_TEST_PIPE'] = pipe;
  const { supervisor, messages, exits, stop } = setUp(t, [spec(FAKE_DEEP)]);
  await until('it has a heartbeat', () => (supervisor.status()[0]?.heartbeat ?? 0) > 0);
  supervisor.fail(0, 'hang');
  await standsStill(supervisor);
  look(supervisor, 20);
  assert.deepEqual(exits, []);
  look(supervisor, 10);
  assert.deepEqual(exits, [70], 'once');
  assert.equal(supervisor.status()[0]?.restarts, 0);
  assert.equal(supervisor.counterBlocks()[0]?.[0], 1, 'no second thread has its descriptors');
  assert.match(messages.at(-1) ?? '', /does not end: weftd ends/);
  closeSync(openSync(pipe, 'w')); // the call returns, and the thread ends at last
  await until('the thread has ended', () => supervisor.status()[0]?.restarts === 1);
  await stop();
});

test('a thread that takes long to load is shown as stuck and left alone', async (t) => {
  const { supervisor, exits } = setUp(t, [spec(FAKE_LOADING)]);
  await until('the task is handed over', () => supervisor.status()[0]?.state === 'running');
  look(supervisor, 60);
  const [worker] = supervisor.status();
  assert.deepEqual([worker?.state, worker?.restarts, exits], ['stuck', 0, []]);
});

test('a stopped worker is not stuck, however long ago its last beat is', async (t) => {
  const { supervisor, messages, stop } = setUp(t, [spec()]);
  await until('it has seen the table', () => supervisor.seenGenerations().length === 1);
  await stop();
  look(supervisor, 60);
  assert.equal(supervisor.status()[0]?.state, 'stopped');
  assert.deepEqual(messages, []);
});
