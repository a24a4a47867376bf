/** What a worker keeps of tasks that ended: a thread that fails again and again must not fill the memory. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Piscina } from 'piscina';
import { workerFile } from '../../../src/control/plane/supervisor.ts';
import { COUNTER_BLOCK } from '../../../src/memory/counters.ts';
import { LAYOUT } from '../../../src/memory/layout.ts';
import { LOCAL_ADDRESSES_BYTES } from '../../../src/memory/local-addresses.ts';
import { TABLE_BYTES } from '../../../src/memory/table.ts';
import {
  COMMAND,
  CONTROL_WORDS,
  createObservationMemory,
  WORD,
  type WorkerTask,
} from '../../../src/memory/worker-task.ts';

const TASKS = 30;
const POOL_BYTES = LAYOUT.poolSlots * LAYOUT.slotStride;

/** Of this process, touched or not: a pool that nobody used yet counts as well. */
function addressSpaceBytes(): number {
  const [, kib] = /VmSize:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return Number(kib) * 1024;
}

test('packet pools of ended tasks are given back', async (t) => {
  const pool = new Piscina({
    filename: workerFile(),
    name: 'run',
    maxThreads: 1,
    atomics: 'disabled',
  });
  t.after(() => pool.destroy());
  const control = new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * 4));
  control[WORD.command] = COMMAND.stop;
  const task: WorkerTask = {
    index: 0,
    cpu: -1,
    wakeFd: -1,
    control: control.buffer,
    counters: new SharedArrayBuffer(COUNTER_BLOCK * 8),
    table: new SharedArrayBuffer(TABLE_BYTES),
    localAddresses: new SharedArrayBuffer(LOCAL_ADDRESSES_BYTES),
    observation: createObservationMemory(),
    encap: { kind: 'vxlan', vni: 1, port: 8472 },
    sourceCheck: 'lease',
    links: [],
  };
  await pool.run(task);
  const start = addressSpaceBytes();
  for (let i = 0; i < TASKS; i++) assert.deepEqual(await pool.run(task), { breaths: 0 });
  const grown = addressSpaceBytes() - start;
  assert.ok(grown < (TASKS / 3) * POOL_BYTES, `${grown} bytes for ${TASKS} tasks`);
});
