/** The commands that people and workflows are told to run, and what tests may ask of the machine. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { projectRoot } from '../../src/shared/root.ts';

const read = (file: string): string => readFileSync(path.join(projectRoot(), file), 'utf8');

const testsIn = (folder: string): string[] =>
  readdirSync(path.join(projectRoot(), 'test', folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => path.join('test', folder, name));

const workflows = readdirSync(path.join(projectRoot(), '.github/workflows')).map((name) =>
  path.join('.github/workflows', name),
);
const guides = [
  ...['README.md', 'CONTRIBUTING.md', 'docs/release.md', 'docs/operations/install.md', '.ci/run'],
  ...['test/README.md', 'bench/README.md', 'lab/README.md', '.github/pull_request_template.md'],
];

test('every npm script that a guide or a workflow names exists, and so does every test it picks', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const tests = ['unit', 'netns', 'system', 'fuzz', 'kubernetes'].flatMap(testsIn);
  for (const file of [...guides, ...workflows]) {
    const text = read(file);
    for (const [, name = ''] of text.matchAll(/npm run ([a-z][\w:]*)/g))
      assert.ok(name in scripts, `${file}: npm run ${name}`);
    for (const [, script = ''] of text.matchAll(/node (scripts\/[\w-]+\.mjs)/g))
      assert.ok(existsSync(path.join(projectRoot(), script)), `${file}: ${script}`);
    for (const [, part = ''] of text.matchAll(/npm (?:test|run test:\w+) -- ([a-z][\w/-]*)/g))
      assert.ok(
        tests.some((name) => name.includes(part)),
        `${file}: no test file has ${part} in its name`,
      );
  }
});

test('workflows need no secrets, ask for few rights, and use actions by their major version', () => {
  for (const file of workflows) {
    const text = read(file);
    assert.doesNotMatch(text, /\bsecrets\b/, file);
    assert.match(text, /^permissions:\n {2}contents: read$/m, file);
    assert.doesNotMatch(text, /pull_request_target|write-all/, file);
    const actions = [...text.matchAll(/uses: (\S+)/g)].map(([, action = '']) => action);
    assert.ok(actions.length > 1, file);
    for (const action of actions) assert.match(action, /^[\w-]+\/[\w/-]+@v\d+$/, file);
    const jobs = [...text.matchAll(/^ {4}runs-on: /gm)].length;
    assert.equal([...text.matchAll(/^ {4}timeout-minutes: \d+$/gm)].length, jobs, file);
  }
});

test('tests of namespaces and of whole systems say what they need, so that they are skipped without it', () => {
  for (const file of [...testsIn('netns'), ...testsIn('system'), ...testsIn('kubernetes')])
    assert.doesNotMatch(
      read(file),
      /^import \{.*from 'node:test'/m,
      `${file}: take test from needs.ts`,
    );
  for (const file of testsIn('netns')) assert.match(read(file), /= needs\('root'\);/, file);
});

test('unit tests ask for nothing', () => {
  for (const file of testsIn('unit')) {
    if (file.endsWith('commands.test.ts')) continue;
    assert.doesNotMatch(read(file), /support\/needs\.ts'|runSanitized|skip: /, file);
  }
});
