/** The commands that people and workflows are told to run, and what tests may ask of the machine. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { projectRoot } from '../../src/shared/root.ts';

const read = (file: string): string => readFileSync(path.join(projectRoot(), file), 'utf8');

const testsIn = (folder: string): string[] =>
  readdirSync(path.join(projectRoot(), 'test', folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => path.join('test', folder, name));

test('tests of namespaces and of whole systems say what they need, so that they are skipped without it', () => {
  for (const file of [...testsIn('netns'), ...testsIn('system')])
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
