/**
 * Prints what CHANGELOG.md says of a version, for the page of a release.
 *   node scripts/release-notes.mjs VERSION
 * Ends with 1 unless the version is that of package.json and has a section with a date: a tag that fits nothing makes no release.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';

const root = path.join(import.meta.dirname, '..');
const read = (file) => readFileSync(path.join(root, file), 'utf8');
const [version = ''] = process.argv.slice(2);

function fail(why) {
  process.stderr.write(`release-notes: ${why}\n`);
  process.exit(1);
}

const { version: packaged } = JSON.parse(read('package.json'));
if (version !== packaged) fail(`the version is ${packaged} in package.json, not ${version}`);
const section = read('CHANGELOG.md')
  .split(/^## /m)
  .find((text) => text.startsWith(`[${version}] - `));
if (section === undefined) fail(`CHANGELOG.md has no section [${version}] with a date`);
process.stdout.write(`${section.slice(section.indexOf('\n')).trim()}\n`);
