/**
 * A fake forwarding thread for tests of the supervisor: it beats, obeys the control word and moves no packets.
 * `encap.port` tells it how to be faulty: FAKE_EXIT ends the thread instead of returning; FAKE_HANG beats only while the
 * first word of the table is 0.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { COMMAND, WORD, type WorkerResult, type WorkerTask } from '../../src/memory/worker-task.ts';

export const FAKE_EXIT = 1;
export const FAKE_HANG = 2;

export async function run(task: WorkerTask): Promise<WorkerResult> {
  const control = new Int32Array(task.control);
  new Float64Array(task.counters)[0]! += 1;
  const table = new Int32Array(task.table);
  let breaths = 0;
  if (task.encap.port === FAKE_EXIT) process.exit(3);
  for (;;) {
    const command = Atomics.load(control, WORD.command);
    if (command === COMMAND.stop) return { breaths };
    if (command === COMMAND.fail) throw new Error('told to fail');
    Atomics.store(control, WORD.seenGeneration, 7);
    const isHung = task.encap.port === FAKE_HANG && Atomics.load(table, 0) !== 0;
    if (!isHung) Atomics.add(control, WORD.heartbeat, 1);
    breaths++;
    await sleep(1);
  }
}
