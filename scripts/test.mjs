/**
 * Runs all tests in one run of node's test runner, one file after the other: network tests must not disturb each other.
 *   node scripts/test.mjs [part of a file's name ...]
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';

const root = path.join(import.meta.dirname, '..');
const filters = process.argv.slice(2);

/** Compiled tests whose source still exists: dist/ may hold leftovers. */
function testFiles(folder) {
  return readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const name = path.join(folder, entry.name);
    if (entry.isDirectory()) return testFiles(name);
    if (!name.endsWith('.test.ts')) return [];
    return [path.join('dist', name.replace(/\.ts$/, '.js'))];
  });
}

const files = testFiles('test')
  .filter((file) => existsSync(path.join(root, file)))
  .filter((file) => filters.length === 0 || filters.some((part) => file.includes(part)))
  .sort();
if (files.length === 0) {
  process.stderr.write(`no test file matches ${filters.join(', ')}\n`);
  process.exit(2);
}
const options = ['--test', '--test-concurrency=1', '--test-timeout=300000', '--test-reporter=spec'];
const result = spawnSync(process.execPath, [...options, ...files], { cwd: root, stdio: 'inherit' });
process.exit(result.status ?? 1);
