/** What a running daemon has given up, as the kernel shows it, and what becomes of threads that hang: real daemons in namespaces. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../lab/command.ts';
import { Lab } from '../../lab/lab.ts';
import { ping } from '../../lab/traffic.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import { projectRoot } from '../../src/shared/root.ts';
import { needs } from '../support/needs.ts';
import { adminPage, healthPage, statusOf } from '../support/node-status.ts';
import { until } from '../support/until.ts';

const { after, before, describe, it } = needs('root');

const HEALTH_PORT = 9472;
const CAP_NET_ADMIN = 1n << 12n;

/** /proc/<pid>/task/<tid>/status. */
interface Thread {
  tid: number;
  /** permitted, effective and bounding set together */
  capabilities: bigint;
  noNewPrivs: string;
  seccomp: string;
  filters: number;
}

function threadsOf(pid: number): Thread[] {
  return readdirSync(`/proc/${pid}/task`).map((tid) => {
    const text = readFileSync(`/proc/${pid}/task/${tid}/status`, 'utf8');
    const field = (name: string): string =>
      new RegExp(`^${name}:\\s*(\\S+)$`, 'm').exec(text)?.[1] ?? '';
    const set = (name: string): bigint => BigInt(`0x${field(name)}`);
    return {
      tid: Number(tid),
      capabilities: set('CapPrm') | set('CapEff') | set('CapBnd'),
      noNewPrivs: field('NoNewPrivs'),
      seccomp: field('Seccomp'),
      filters: Number(field('Seccomp_filters')),
    };
  });
}

const withoutCapabilities = (pid: number): Thread[] =>
  threadsOf(pid).filter(({ capabilities }) => capabilities === 0n);

describe('netns: what a daemon has given up', () => {
  let lab: Lab;
  const first = (): WeftNode => {
    const node = lab.weftNodes[0];
    assert.ok(node);
    return node;
  };
  const pid = (): number => first().pid as number;
  const lossPct = async (): Promise<number> =>
    (await ping(lab.pod(0), lab.pod(1), { count: 20 })).lossPct;
  const restarts = async (): Promise<number[]> =>
    (await statusOf(first())).workers.map((worker) => worker.restarts);
  const fault = (text: string): Promise<string> =>
    adminPage(first().adminSocket, `/fault?worker=0&fault=${text}`);

  before(async () => {
    process.env['WEFT_FAULTS'] = '1';
    lab = await Lab.build({
      nodes: [{ kind: 'weft' }, { kind: 'weft' }],
      workers: 2,
      flags: [`--healthz-port=${HEALTH_PORT}`],
    });
  });
  after(() => lab?.close());

  it('workers have no capability and a filter of their own; the control thread keeps its work', async () => {
    const threads = threadsOf(pid());
    const workers = withoutCapabilities(pid());
    assert.equal(workers.length, 2);
    for (const { noNewPrivs, seccomp } of threads)
      assert.deepEqual([noNewPrivs, seccomp], ['1', '2']);
    const control = threads.find(({ tid }) => tid === pid());
    assert.ok(control && (control.capabilities & CAP_NET_ADMIN) !== 0n);
    for (const { filters } of workers) assert.equal(filters, control.filters + 1);
    const { workers: shown, hardening } = await statusOf(first());
    for (const worker of shown)
      assert.deepEqual([worker.capabilities, worker.seccomp], ['dropped', 'on']);
    assert.deepEqual([hardening?.noDump, hardening?.noRings], ['on', 'on']);
    assert.match(hardening?.files ?? '', /^(on|off): /);
    assert.equal(await lossPct(), 0);
  });

  it('SIGUSR1 does not open the inspector', async () => {
    first().signal('SIGUSR1');
    await statusOf(first());
    const { stdout } = await first().namespace.exec('ss', ['-Hltn']);
    assert.match(stdout, new RegExp(`:${HEALTH_PORT}\\b`), 'the list is that of the node');
    assert.doesNotMatch(stdout, /:9229\b/);
    assert.doesNotMatch(first().log, /Debugger listening/);
  });

  it('a worker that fails comes back on its thread, and forwards with nothing given back', async () => {
    await fault('fail');
    await until('it was started again', async () => {
      const { workers } = await statusOf(first());
      return workers[0]?.restarts === 1 && workers[0].state === 'running';
    });
    assert.equal(await lossPct(), 0);
    const filters = withoutCapabilities(pid()).map((thread) => thread.filters);
    assert.equal(filters.length, 2);
    assert.equal(filters[0], filters[1], 'its filter was not stacked upon itself');
  });

  it('a worker that hangs is replaced without a service manager; counters go on, the other worker too', async () => {
    const earlier = await statusOf(first());
    const hung = withoutCapabilities(pid()).map(({ tid }) => tid);
    await fault('hang');
    const health = (): Promise<{ status: number; body: string }> =>
      healthPage(first(), HEALTH_PORT, '/healthz');
    await until('the probe for liveness fails', async () => (await health()).status === 503);
    await until('another thread has the task', async () => (await restarts())[0] === 2);
    await until('it runs', async () => (await statusOf(first())).workers[0]?.state === 'running');
    assert.equal((await health()).status, 200);
    assert.equal(await lossPct(), 0);
    const later = await statusOf(first());
    assert.equal(later.pid, earlier.pid);
    assert.equal(later.workers[1]?.restarts, 0);
    for (const [name, value] of Object.entries(earlier.counters))
      assert.ok((later.counters[name] ?? 0) >= value, name);
    await until('the new thread has given up as much', () => {
      const now = withoutCapabilities(pid()).map(({ tid }) => tid);
      return now.length === 2 && now.filter((tid) => hung.includes(tid)).length === 1;
    });
  });

  it('a process that was stopped for long finds no worker stuck when it goes on', async () => {
    const before = await restarts();
    first().signal('SIGSTOP');
    await sleep(12_000); // longer than any heartbeat may stand still
    first().signal('SIGCONT');
    assert.equal(await lossPct(), 0);
    await sleep(2_000); // two looks of the watch
    assert.deepEqual(await restarts(), before);
    assert.equal(first().log.match(/worker is stuck/g)?.length, 1, 'that of the test before');
  });

  it('a worker that is held in the kernel can not be replaced: the process ends with 70', async () => {
    const holder = path.join(lab.scope.tempDir, 'hold-thread');
    const source = path.join(projectRoot(), 'test/support/native/hold-thread.c');
    await run('cc', ['-D_GNU_SOURCE', '-o', holder, source]);
    const [worker] = withoutCapabilities(pid());
    const held = first().namespace.spawn(holder, [`${worker?.tid}`]);
    await held.waitForOutput(/held/);
    await until('the daemon has ended', () => first().exit !== undefined);
    assert.equal(first().exit, 'exit code 70');
    assert.match(first().log, /the thread of a stuck worker does not end: weftd ends/);
    await until('the holder has ended', () => held.exit !== undefined);
    await first().start();
    await lab.waitForPeers();
    assert.equal(await lossPct(), 0);
  });
});
