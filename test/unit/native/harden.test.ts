/** What is given up is gone, and what is needed is not: real processes and threads, without root. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import type { Hardening } from '../../../src/control/hardening.ts';
import { loadAddon } from '../../../src/memory/addon.ts';
import { temporaryFolder } from '../../support/folder.ts';

const run = promisify(execFile);
const program = (name: string): string =>
  path.join(import.meta.dirname, '../../support/programs', `${name}.js`);
const hasLandlock = loadAddon().hardenFilesAbi() >= 2;

async function harden(
  t: TestContext,
  type: string,
): Promise<{ hardening: Hardening; tries: Record<string, unknown>; folder: string }> {
  const folder = await temporaryFolder(t);
  mkdirSync(path.join(folder, 'stores/one'), { recursive: true });
  writeFileSync(
    path.join(folder, 'worker.cjs'),
    `new Function('return 1')(); require('node:worker_threads').parentPort.postMessage('');`,
  );
  const { stdout } = await run(process.execPath, [program('hardened'), folder, type]);
  return { ...JSON.parse(stdout), folder };
}

test('a process writes in its own places only, whichever thread or child tries', async (t) => {
  if (!hasLandlock) return t.skip('this kernel has no Landlock');
  const { hardening, tries, folder } = await harden(t, 'vxlan');
  assert.match(hardening.files, /^on: Landlock \d+(, without 1 thread of Node)?$/);
  const { inState, inRun, ofStore, ofNewStore, acrossFolders, toNull, read } = tries;
  for (const [name, came] of Object.entries({
    inState,
    inRun,
    ofStore,
    ofNewStore,
    acrossFolders,
    toNull,
    read,
  }))
    assert.equal(came, '', name);
  assert.equal(tries['elsewhere'], 'EACCES');
  assert.deepEqual(tries['elsewhereByFileThreads'], ['EACCES']);
  assert.equal(tries['elsewhereByChild'], true);
  assert.equal(existsSync(path.join(folder, 'elsewhere')), false);
});

test('no thread or child gains privileges; workers compile no strings, the control thread does', async (t) => {
  const { hardening, tries } = await harden(t, 'vxlan');
  assert.deepEqual([hardening.noDump, hardening.noRings], ['on', 'on']);
  assert.equal(tries['noNewPrivsOfChild'], '1');
  assert.equal(tries['evalHere'], '');
  assert.equal(tries['evalInWorker'], 'EvalError');
});

test('commands of the extension backend run in a process that kept its rights', async (t) => {
  const { hardening, tries } = await harden(t, 'extension');
  assert.equal(hardening.noDump, 'on');
  for (const text of [hardening.noRings, hardening.files]) assert.match(text, /^off: .*extension/);
  assert.deepEqual([tries['elsewhere'], tries['noNewPrivsOfChild']], ['', '0']);
});

test('a worker opens, runs, connects and signals nothing, and still computes', async () => {
  const script = `
    const { Worker } = require('node:worker_threads');
    const { loadAddon } = require(process.argv[1]);
    loadAddon().hardenRings();
    const messages = [];
    const thread = new Worker(process.argv[2]);
    thread.on('message', (m) => messages.push(m));
    thread.on('error', (e) => { throw e; });
    thread.on('exit', (code) => console.log(JSON.stringify([...messages, code])));
  `;
  const addon = path.join(import.meta.dirname, '../../../src/memory/addon.js');
  const { stdout } = await run(process.execPath, ['-e', script, addon, program('confined-thread')]);
  const [tries, worked, code] = JSON.parse(stdout) as [Record<string, unknown>, boolean, number];
  const { given, ...rest } = tries;
  assert.deepEqual(given, [0, 0]);
  for (const [name, came] of Object.entries(rest)) assert.notEqual(came, '', name);
  assert.deepEqual([tries['read'], tries['socket']], ['EPERM', 'EPERM']);
  assert.deepEqual([worked, code], [true, 0]);
});

test('without the refusal of io_uring a thread gets no filter, which could be passed by', () => {
  const addon = loadAddon();
  assert.equal(addon.hardenCalls(), -95);
});
