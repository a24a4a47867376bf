/** Rules of the tree that no compiler checks. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { renderDoctorPage } from '../src/cli/doctor/page.ts';
import { renderDrops } from '../src/cli/drops-page.ts';
import { projectRoot } from '../src/shared/addon.ts';

const root = projectRoot();
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');

function filesUnder(folder: string, ...endings: string[]): string[] {
  return readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const name = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return entry.name === 'build' ? [] : filesUnder(name, ...endings);
    return endings.some((ending) => name.endsWith(ending)) ? [name] : [];
  });
}

/** Which folders of src/ each folder may import from, besides itself. */
const ALLOWED: Record<string, string[]> = {
  shared: [],
  dataplane: ['shared'],
  control: ['shared'],
  cli: ['shared'],
  lab: ['shared'],
};

/** Parts of control that work without a daemon and on this host alone, and the one file of cli that may use each. */
const WITHOUT_DAEMON: Record<string, string> = {
  'control/cleanup.ts': 'src/cli/commands/cleanup.ts',
  // The same checks as weftd's own: a copy would drift.
  'control/config/check.ts': 'src/cli/commands/config.ts',
  // weftd's flags are completed from the table that it parses them by.
  'control/config/options.ts': 'src/cli/completion/weftd.ts',
};

test('imports point one way', () => {
  for (const file of filesUnder('src', '.ts')) {
    const [, part] = file.split('/') as [string, string];
    for (const [, target] of read(file).matchAll(/from '(\.[^']+)'/g)) {
      const reached = path
        .relative('src', path.join(path.dirname(file), target as string))
        .split('/');
      const isAllowed =
        reached[0] === part ||
        ALLOWED[part]?.includes(reached[0] as string) ||
        WITHOUT_DAEMON[reached.join('/')] === file ||
        // The doctor works where the daemon can't start: it reads the same flags, store and host with the daemon's own readers.
        (file.startsWith('src/cli/doctor/') &&
          /^control\/(config|host|lease|store|subnet-env|ports)\b/.test(reached.join('/')));
      assert.ok(isAllowed, `${file} imports ${target}`);
      if (file.startsWith('src/dataplane/wire/')) assert.equal(reached[1], 'wire', file);
    }
  }
});

test('files and lines have a limit; nothing is left open', () => {
  const files = [...filesUnder('src', '.ts', '.js', '.css'), ...filesUnder('native', '.c', '.h')];
  for (const file of files) {
    const lines = read(file).split('\n');
    const limit = file === 'native/addon.c' ? 600 : 450;
    assert.ok(lines.length <= limit, `${file}: ${lines.length} lines`);
    for (const line of lines) assert.ok(line.length <= 170, `${file}: ${line}`);
    const open = ['TO', 'FIX', 'XX'].map((word, i) => word + ['DO', 'ME', 'X'][i]);
    assert.ok(!open.some((word) => read(file).includes(word)), file);
  }
});

test('the sources export by name only', () => {
  for (const file of filesUnder('src', '.ts'))
    assert.doesNotMatch(read(file), /^export default/m, file);
});

test('every dependency has its reason, and the lockfile names no host', () => {
  const { dependencies, devDependencies, optionalDependencies } = JSON.parse(read('package.json'));
  const page = read('docs/reference/dependencies.md');
  const listed = [...page.matchAll(/^\| (\S+) \|/gm)]
    .map((match) => match[1])
    .filter((n) => n !== 'package');
  const all = { ...dependencies, ...devDependencies, ...optionalDependencies };
  assert.deepEqual(listed.sort(), Object.keys(all).sort());
  assert.doesNotMatch(read('package-lock.json'), /"resolved": "https?:/);
});

test('the page of drop reasons is up to date', () => {
  assert.equal(read('docs/reference/drops.md'), renderDrops());
});

test("the page of the doctor's checks is up to date", () => {
  assert.equal(read('docs/reference/doctor.md'), renderDoctorPage());
});
