/**
 * Runs the tests in one run of node's test runner, one file after the other: network tests must not disturb each other.
 * Unit tests share nothing: alone they run side by side.
 *   node scripts/test.mjs [--folder=unit|netns|system|fuzz|kubernetes] [--sanitize] [part of a file's name ...]
 * --sanitize: with the addon that has AddressSanitizer and UndefinedBehaviorSanitizer in it.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

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

/** Those of a cluster need an API server that takes minutes to build: they run when they are asked for. */
const USUAL = ['fuzz', 'netns', 'system', 'unit'];
const folders = values.folder === '' ? USUAL : [values.folder];
const files = folders
  .flatMap((folder) => testFiles(path.join('test', folder)))
  .filter((file) => existsSync(path.join(root, file)))
  .filter((file) => parts.length === 0 || parts.some((part) => file.includes(part)))
  .sort();
if (files.length === 0) {
  process.stderr.write(`no test file matches ${parts.join(', ')}\n`);
  process.exit(2);
}
// One more than there are processors: some files wait most of the time.
const atOnce = values.folder === 'unit' ? availableParallelism() + 1 : 1;
const options = [
  '--test',
  `--test-concurrency=${atOnce}`,
  '--test-timeout=900000',
  `--test-reporter=${path.join(import.meta.dirname, 'test-report.mjs')}`,
];
// Tests make many large memories. Without a fixed threshold malloc takes to zeroing them itself, where fresh pages are zero already:
// five times the CPU of the whole test.
const env = {
  ...process.env,
  MALLOC_MMAP_THRESHOLD_: '131072',
  ...(values.sanitize ? sanitized() : {}),
};
const command = [...options, ...files];
const result = spawnSync(process.execPath, command, { cwd: root, env, stdio: 'inherit' });
process.exit(result.status ?? 1);
