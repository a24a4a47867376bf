/**
 * The fuzz targets of native/fuzz (clang's libFuzzer, sanitizers on), each for a fixed number of runs from the same seed, starting from
 * the captures in test/golden. A target that fails leaves its input in native/build/fuzz/failed and is run again with it:
 *   native/build/fuzz/segment native/build/fuzz/failed/crash-...
 */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { projectRoot } from '../../src/shared/root.ts';
import { needs } from '../support/needs.ts';

const folder = path.join(projectRoot(), 'native/build/fuzz');
const failed = path.join(folder, 'failed');
const { test } = needs('clang');

function node(...args: string[]): void {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: projectRoot(),
    encoding: 'utf8',
  });
  assert.equal(status, 0, stdout + stderr);
}

/** Runs a target; `seeds` is the folder it starts from, if any. */
function fuzz(
  target: string,
  runs: number,
  seeds?: string,
): Promise<{ code: number; output: string }> {
  const found = mkdtempSync(path.join(tmpdir(), 'weft-fuzz-'));
  // Nothing that depends on the time or on addresses: the same seed tries the same inputs.
  const same = ['-seed=1', '-reload=0', '-use_cmp=0'];
  const bounds = [`-runs=${runs}`, '-max_len=4096', `-artifact_prefix=${failed}/`];
  const args = [...same, ...bounds, found, ...(seeds ? [seeds] : [])];
  return new Promise((resolve) => {
    execFile(path.join(folder, target), args, { maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      rmSync(found, { recursive: true, force: true });
      const code = error ? (typeof error.code === 'number' ? error.code : 1) : 0;
      resolve({ code, output: (stdout + stderr).split('\n').slice(-60).join('\n') });
    });
  });
}

/** Some seconds of one core each. */
const RUNS = {
  packet: 300_000,
  segment: 60_000,
  seal: 6000,
  coalesce: 80_000,
  cni: 100_000,
  keeper: 300_000,
};

let isPrepared = false;

/** Builds the targets and writes their seeds, once. Fails with the message of the build, which names what is missing. */
function prepare(): void {
  if (isPrepared) return;
  node('native/build.mjs', '--fuzz');
  node('native/fuzz/corpus.mjs');
  rmSync(failed, { recursive: true, force: true });
  mkdirSync(failed, { recursive: true });
  isPrepared = true;
}

for (const [target, runs] of Object.entries(RUNS)) {
  test(`fuzz target ${target}: ${runs} runs find nothing`, async (t) => {
    prepare();
    const { code, output } = await fuzz(target, runs, path.join(folder, 'corpus', target));
    assert.equal(code, 0, output);
    const last = output.match(/^#(\d+)\s+DONE\s+(.*)$/m);
    assert.equal(last?.[1], `${runs}`);
    t.diagnostic(`${last?.[2]}`);
  });
}

test('a bug that was planted in the packet target is found', async () => {
  prepare();
  const { code, output } = await fuzz('planted', RUNS.packet);
  assert.notEqual(code, 0);
  assert.match(output, /heap-buffer-overflow.*packet\.c/);
});
