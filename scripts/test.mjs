/**
 * Runs the tests in one run of node's test runner, one file after the other: network tests must not disturb each other.
 * Unit tests share nothing: alone they run side by side.
 *   node scripts/test.mjs [--folder=unit|netns|system|fuzz|kubernetes] [--sanitize] [part of a file's name ...]
 * --sanitize: with the addon that has AddressSanitizer and UndefinedBehaviorSanitizer in it.
 */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { run } from 'node:test';
import { parseArgs } from 'node:util';
import report from './test-report.mjs';

const root = path.join(import.meta.dirname, '..');
const { values, positionals: parts } = parseArgs({
  options: { folder: { type: 'string', default: '' }, sanitize: { type: 'boolean' } },
  allowPositionals: true,
});

/** Compiled tests whose source still exists: dist/ may hold leftovers. */
function testFiles(folder) {
  return readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const name = path.join(folder, entry.name);
    if (entry.isDirectory()) return testFiles(name);
    if (!name.endsWith('.test.ts')) return [];
    return [path.join('dist', name.replace(/\.ts$/, '.js'))];
  });
}

/** Leaks are not looked for: Node itself does not free everything at its end. */
function sanitized() {
  const library = (name) =>
    execFileSync('cc', [`-print-file-name=${name}`])
      .toString()
      .trim();
  return {
    WEFT_ADDON: path.join(root, 'native/build/weft-asan.node'),
    LD_PRELOAD: `${library('libasan.so')} ${library('libubsan.so')}`,
    ASAN_OPTIONS: 'detect_leaks=0',
    UBSAN_OPTIONS: 'print_stacktrace=1',
  };
}

/** In their order. Those of Kubernetes come last: where its programs are not there yet they are built while the others run. */
const USUAL = ['unit', 'fuzz', 'netns', 'system', 'kubernetes'];
const folders = values.folder === '' ? USUAL : [values.folder];
const files = folders
  .flatMap((folder) => testFiles(path.join('test', folder)).sort())
  .filter((file) => existsSync(path.join(root, file)))
  .filter((file) => parts.length === 0 || parts.some((part) => file.includes(part)));
if (files.length === 0) {
  process.stderr.write(`no test file matches ${parts.join(', ')}\n`);
  process.exit(2);
}
// One more than there are processors: some files wait most of the time.
const atOnce = values.folder === 'unit' ? availableParallelism() + 1 : 1;
if (values.sanitize) Object.assign(process.env, sanitized());

/** Tests mostly wait, so the minutes of compiling cost them little. Who can't be root has no tests that need it. */
function buildKubernetes() {
  const isWanted = files.some((file) => file.startsWith('dist/test/kubernetes/'));
  if (!isWanted || process.getuid() !== 0) return;
  const command = ['-n', '19', process.execPath, 'lab/kubernetes/build.mjs'];
  const stdio = ['ignore', 'ignore', 'inherit'];
  const building = spawn('nice', command, { cwd: root, stdio, detached: true });
  let isRunning = true;
  building.once('exit', () => {
    isRunning = false;
  });
  building.unref();
  // With the compilers that it started.
  process.once('exit', () => isRunning && process.kill(-building.pid));
}

process.chdir(root);
buildKubernetes();
// Not "node --test", which sorts the files.
const running = run({ files, concurrency: atOnce, timeout: 900_000 });
running.on('test:fail', ({ todo }) => {
  if (todo === undefined || todo === false) process.exitCode = 1;
});
running.compose(report).pipe(process.stdout);
