/**
 * Keeps the workers running: one endless piscina task per worker, restarted with back-off. A task is stopped by a word
 * in shared memory and an eventfd, never by an abort signal (piscina would kill the thread); the signal ends only waits for a thread.
 * A thread that does not answer is ended, and no other takes its task before it has: two would use the same descriptors and counters.
 * Counter blocks outlive workers.
 */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { getSystemErrorName } from 'node:util';
import { Piscina } from 'piscina';
import type { Addon } from '../../memory/addon.ts';
import { COUNTER, COUNTER_BLOCK } from '../../memory/counters.ts';
import { STAT_NAMES } from '../../memory/layout.ts';
import { COMMAND, CONTROL_WORDS, WORD, type WorkerTask } from '../../memory/worker-task.ts';
import { advisedMessageOf, EXIT } from '../../shared/errors.ts';
import { projectRoot } from '../../shared/root.ts';
import type { Log } from '../log/log.ts';

const BACKOFF_MS_MIN = 100;
const BACKOFF_MS_MAX = 10_000;
const HEALTHY_MS = 30_000;
const STOP_MS = 3_000;
const WATCH_MS = 1_000;
/**
 * A worker beats at least ten times a second (shared/limits.ts WAIT_MS_MAX). So many looks in a row without a beat: it is stuck; its
 * thread is ended, and another takes the task; the thread did not end, so the process does. Looks, not time: a process that was stopped
 * and a machine that slept find at most one. All before the service manager's watchdog (30 s) would end the process.
 */
const STUCK_LOOKS = 5;
const REPLACE_LOOKS = 10;
const GIVE_UP_LOOKS = 25;

const WAIT_NS = STAT_NAMES.indexOf('waitNs');

/** stuck: the task runs, but its heartbeat stands still. */
export type WorkerState = 'running' | 'stuck' | 'restarting' | 'stopped';
/** What the supervisor adds to a task itself. */
export type TaskSpec = Omit<WorkerTask, 'index' | 'wakeFd' | 'control' | 'counters'>;

interface Worker {
  spec: TaskSpec;
  state: WorkerState;
  restarts: number;
  wakeFd: number;
  control: Int32Array;
  counters: Float64Array;
  pool: Piscina;
  /** ends the wait for a thread */
  waiting: AbortController;
  /** heartbeat when the task was handed over: as long as it stands there, no thread has taken the task */
  beatAtStart: number;
  /** last heartbeat that the watch saw, and how many looks since then saw no other */
  beat: number;
  quietLooks: number;
  done: Promise<void>;
}

/** for tests */
export type WorkerFault = 'fail' | 'hang';

export interface WorkerStatus {
  state: WorkerState;
  restarts: number;
  heartbeat: number;
  /** turns of all its lives, and how long it waited in them: the rest of the time it worked */
  breaths: number;
  waitNs: number;
  /** what the thread gave up: "dropped" and "on", or why not; "" before it runs */
  capabilities: string;
  seccomp: string;
}

/** What it needs of the native layer: eventfds and an end. */
type Wakers = Pick<Addon, 'openWake' | 'wake' | 'close' | 'exitNow'>;

export class Supervisor {
  private readonly addon: Wakers;
  private readonly log: Log;
  private readonly file: string;
  private readonly pool: Piscina;
  private ended = new AbortController();
  private workers: Worker[] = [];
  private watch: NodeJS.Timeout | undefined;

  /** `file` is the module whose export `run` is the task (tests may name another). */
  constructor(addon: Wakers, log: Log, count: number, file = workerFile()) {
    this.addon = addon;
    this.log = log;
    this.file = file;
    this.pool = this.createPool(count);
  }

  private createPool(count: number): Piscina {
    const pool = new Piscina({
      filename: this.file,
      name: 'run',
      minThreads: count,
      maxThreads: count,
      idleTimeout: Number.POSITIVE_INFINITY,
      concurrentTasksPerWorker: 1,
      atomics: 'disabled',
      recordTiming: false,
    });
    // A thread without a task that dies; unheard, the event would end the daemon.
    pool.on('error', (error: unknown) => {
      this.log.error(`worker ended: ${advisedMessageOf(error)}`);
      this.endWaits(pool);
    });
    return pool;
  }

  /** piscina leaves a task in its queue for ever when the thread that was to take it dies while it loads. */
  private endWaits(pool: Piscina): void {
    for (const worker of this.workers) {
      const beat = Atomics.load(worker.control, WORD.heartbeat);
      if (worker.pool === pool && beat === worker.beatAtStart) worker.waiting.abort();
    }
  }

  /** Starts one worker per task; again after a {@link rest}, with the same threads. */
  start(specs: readonly TaskSpec[]): void {
    this.ended = new AbortController();
    this.workers = specs.map((spec, index) => {
      const worker: Worker = {
        spec,
        state: 'restarting',
        restarts: 0,
        wakeFd: this.addon.openWake(),
        control: new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * 4)),
        counters: new Float64Array(new SharedArrayBuffer(COUNTER_BLOCK * 8)),
        pool: this.pool,
        waiting: new AbortController(),
        beatAtStart: 0,
        beat: 0,
        quietLooks: 0,
        done: Promise.resolve(),
      };
      worker.done = this.keep(worker, index);
      return worker;
    });
    this.watch = setInterval(() => this.look(), WATCH_MS).unref();
  }

  /** Finds workers whose heartbeat stands still; call it once a second. */
  look(): void {
    for (const [index, worker] of this.workers.entries()) {
      const beat = Atomics.load(worker.control, WORD.heartbeat);
      const isAlive = worker.state === 'running' || worker.state === 'stuck';
      if (beat !== worker.beat || !isAlive) {
        worker.beat = beat;
        worker.quietLooks = 0;
        if (worker.state !== 'stuck') continue;
        worker.state = 'running';
        this.log.info({ worker: index }, 'worker goes on');
      } else {
        this.judgeQuiet(worker, index, ++worker.quietLooks);
      }
    }
  }

  /** A thread that has not taken its task yet is loading its program, which takes long on a busy machine: it is left alone. */
  private judgeQuiet(worker: Worker, index: number, looks: number): void {
    if (looks === STUCK_LOOKS) {
      worker.state = 'stuck';
      const text = `worker is stuck: no heartbeat for ${(STUCK_LOOKS * WATCH_MS) / 1000} s`;
      this.log.error({ worker: index }, text);
    }
    const threadId = Atomics.load(worker.control, WORD.thread);
    if (threadId === 0) return;
    if (looks === REPLACE_LOOKS) {
      this.log.error({ worker: index }, 'worker is still stuck: its thread is ended');
      // Not by the abort signal: piscina would start the next thread while this one may still move packets.
      void worker.pool.threads.find((thread) => thread.threadId === threadId)?.terminate();
    }
    if (looks === GIVE_UP_LOOKS) {
      this.log.fatal({ worker: index }, 'the thread of a stuck worker does not end: weftd ends');
      this.addon.exitNow(EXIT.internal);
    }
  }

  /** Runs one worker's task again and again until stop. */
  private async keep(worker: Worker, index: number): Promise<void> {
    let backoffMs = BACKOFF_MS_MIN;
    while (!this.ended.signal.aborted) {
      const startedAt = performance.now();
      worker.state = 'running';
      try {
        await this.run(worker, index);
        break;
      } catch (error) {
        if (this.ended.signal.aborted) break;
        worker.state = 'restarting';
        worker.restarts++;
        if (performance.now() - startedAt > HEALTHY_MS) backoffMs = BACKOFF_MS_MIN;
        this.log.error(
          { worker: index, backoffMs },
          `worker stopped: ${advisedMessageOf(error)}; starting it again`,
        );
        Atomics.store(worker.control, WORD.command, COMMAND.run);
        await sleep(backoffMs, undefined, { signal: this.ended.signal }).catch(() => undefined);
        this.replaceBrokenPool(worker);
        backoffMs = Math.min(BACKOFF_MS_MAX, backoffMs * 2);
      }
    }
    worker.state = 'stopped';
  }

  private run(worker: Worker, index: number): Promise<unknown> {
    worker.waiting = new AbortController();
    worker.beatAtStart = Atomics.load(worker.control, WORD.heartbeat);
    worker.quietLooks = 0;
    for (const word of [WORD.thread, WORD.capabilities, WORD.calls])
      Atomics.store(worker.control, word, 0);
    return worker.pool.run(this.taskOf(worker, index), { signal: worker.waiting.signal });
  }

  /** piscina refills no pool of which a thread died before it was ready: its workers move to pools of their own. */
  private replaceBrokenPool(worker: Worker): void {
    const { pool } = worker;
    if (!isBroken(pool) || this.ended.signal.aborted) return;
    if (pool !== this.pool) void pool.destroy();
    worker.pool = this.createPool(1);
  }

  private taskOf(worker: Worker, index: number): WorkerTask {
    return {
      ...worker.spec,
      index,
      wakeFd: worker.wakeFd,
      control: worker.control.buffer as SharedArrayBuffer,
      counters: worker.counters.buffer as SharedArrayBuffer,
    };
  }

  /** Table generations that running workers have reported. */
  seenGenerations(): number[] {
    return this.workers
      .filter((worker) => worker.state === 'running' || worker.state === 'stuck')
      .filter((worker) => Atomics.load(worker.control, WORD.heartbeat) !== 0)
      .map((worker) => Atomics.load(worker.control, WORD.seenGeneration));
  }

  /** Ends every worker's sleep, so that it sees new words at once. */
  wakeAll(): void {
    for (const worker of this.workers) this.addon.wake(worker.wakeFd);
  }

  counterBlocks(): Float64Array[] {
    return this.workers.map((worker) => worker.counters);
  }

  status(): WorkerStatus[] {
    return this.workers.map((worker) => ({
      state: worker.state,
      restarts: worker.restarts,
      heartbeat: Atomics.load(worker.control, WORD.heartbeat),
      breaths: worker.counters[COUNTER.breaths] as number,
      waitNs: worker.counters[WAIT_NS] as number,
      capabilities: givenUp(worker, WORD.capabilities, 'dropped', 'kept'),
      seccomp: givenUp(worker, WORD.calls, 'on', 'off'),
    }));
  }

  /** A fault for tests: the worker throws or hangs at its next breath. Throws RangeError for an index without worker. */
  fail(index: number, fault: WorkerFault): void {
    const worker = this.workers[index];
    if (!worker) throw new RangeError(`there is no worker ${index}`);
    Atomics.store(worker.control, WORD.command, COMMAND[fault]);
    this.addon.wake(worker.wakeFd);
  }

  /** Stops all workers; resolves when their tasks have returned, or after STOP_MS. Their threads end behind that. */
  async stop(): Promise<void> {
    await this.rest();
    void this.endThreads();
  }

  /**
   * Stops all workers, and keeps their threads with the program loaded for the next {@link start}. False when that can't be, because a
   * task did not return within STOP_MS or a thread has died: then {@link stop} must follow.
   */
  async rest(): Promise<boolean> {
    this.ended.abort();
    clearInterval(this.watch);
    for (const worker of this.workers) Atomics.store(worker.control, WORD.command, COMMAND.stop);
    this.wakeAll();
    const returned = Promise.all(this.workers.map((worker) => worker.done)).then(() => true);
    const limit = new AbortController();
    const late = sleep(STOP_MS, false, { signal: limit.signal }).catch(() => false);
    const isStopped = await Promise.race([returned, late]);
    limit.abort();
    if (!isStopped) return false;
    this.closeWakers();
    return this.workers.every(({ pool }) => pool === this.pool && !isBroken(pool));
  }

  /** Its resting workers are no longer asked or woken; call it when their counts are in the books. */
  forget(): void {
    this.workers = [];
  }

  private closeWakers(): void {
    for (const worker of this.workers) {
      if (worker.wakeFd >= 0) this.addon.close(worker.wakeFd);
      worker.wakeFd = -1;
    }
  }

  private async endThreads(): Promise<void> {
    const pools = new Set([this.pool, ...this.workers.map((worker) => worker.pool)]);
    await Promise.allSettled([...pools].map((pool) => pool.destroy()));
    this.closeWakers();
  }
}

function isBroken(pool: Piscina): boolean {
  return pool.threads.length < pool.options.minThreads;
}

/** `word` as dataplane/worker.ts leaves it. */
function givenUp({ control }: Worker, word: number, done: string, refused: string): string {
  const result = Atomics.load(control, word);
  if (result === 0) return '';
  return result > 0 ? done : `${refused}: ${getSystemErrorName(result)}`;
}

/** The worker as it is installed (scripts/bundle.mjs). */
export function workerFile(): string {
  return path.join(projectRoot(), 'dist/program/worker.js');
}
