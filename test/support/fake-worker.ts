/**
 * A fake worker for tests of the supervisor: it beats, obeys the control word and moves no packets.
 * `encap.port` tells it how to be faulty: FAKE_EXIT ends the thread instead of returning; FAKE_HANG beats only while the
 * first word of the table is 0; FAKE_LOADING never takes the task. A worker that is told to hang does so in its script, and with
 * FAKE_DEEP in a system call: it opens the pipe that WEFT_TEST_PIPE names.
 */
import { openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { threadId } from 'node:worker_threads';
import { COMMAND, WORD, type WorkerResult, type WorkerTask } from '../../src/memory/worker-task.ts';

export const FAKE_EXIT = 1;
export const FAKE_HANG = 2;
export const FAKE_DEEP = 3;
export const FAKE_LOADING = 4;

export async function run(task: WorkerTask): Promise<WorkerResult> {
  const control = new Int32Array(task.control);
  new Float64Array(task.counters)[0]! += 1;
  const table = new Int32Array(task.table);
  let breaths = 0;
  const { port } = task.encap;
  if (port === FAKE_EXIT) process.exit(3);
  if (port === FAKE_LOADING) await sleep(3_600_000);
  Atomics.store(control, WORD.thread, threadId);
  for (;;) {
    const command = Atomics.load(control, WORD.command);
    if (command === COMMAND.stop) return { breaths };
    if (command === COMMAND.fail) throw new Error('told to fail');
    if (command === COMMAND.hang && port === FAKE_DEEP)
      openSync(process.env['WEFT_TEST_PIPE'] as string, 'r');
    if (command === COMMAND.hang) Atomics.wait(control, WORD.command, COMMAND.hang);
    Atomics.store(control, WORD.seenGeneration, 7);
    const isHung = port === FAKE_HANG && Atomics.load(table, 0) !== 0;
    if (!isHung) Atomics.add(control, WORD.heartbeat, 1);
    breaths++;
    await sleep(1);
  }
}
