/**
 * Runs the tests in one run of node's test runner, one file after the other: network tests must not disturb each other.
 * Unit tests share nothing: alone they run side by side.
 *   node scripts/test.mjs [--folder=unit|netns|system|fuzz] [part of a file's name ...]
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

const root = path.join(import.meta.dirname, '..');
const { values, positionals: parts } = parseArgs({
  options: { folder: { type: 'string', default: '' } },
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

const files = testFiles(path.join('test', values.folder))
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
  '--test-timeout=300000',
  `--test-reporter=${path.join(import.meta.dirname, 'test-report.mjs')}`,
];
const result = spawnSync(process.execPath, [...options, ...files], { cwd: root, stdio: 'inherit' });
process.exit(result.status ?? 1);
