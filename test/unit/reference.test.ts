/** Pages that explain words: flannel's behaviours by their ids, and the glossary. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { projectRoot } from '../../src/shared/root.ts';

const PAGE = 'docs/reference/flannel-behaviours.md';
const read = (file: string): string => readFileSync(path.join(projectRoot(), file), 'utf8');

const filesIn = (folder: string, ending: string): string[] =>
  readdirSync(path.join(projectRoot(), folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => path.join(folder, name))
    .filter((name) => name !== PAGE);

/** Ids at the begin of a text in quotes: "CFG-1, CFG-5 keys in any case". */
function idsOfNames(source: string): string[] {
  const heads = source.match(/(?<=['"`])(?:[A-Z]{1,3}-\d+[,:]? )+/g) ?? [];
  return heads.flatMap((head) => head.match(/[A-Z]+-\d+/g) ?? []);
}

test('every behaviour of flannel that a test or a page names is explained, and no other', () => {
  const explained = [...read(PAGE).matchAll(/^\| ([A-Z]+-\d+) \| \S/gm)].map(([, id]) => id);
  assert.equal(new Set(explained).size, explained.length, 'each once');
  const families = [...new Set(explained.map((id) => id?.split('-')[0]))];
  const anId = new RegExp(`\\b(?:${families.join('|')})-\\d+\\b`, 'g');
  const named = [
    ...filesIn('test', '.test.ts').flatMap((file) => idsOfNames(read(file))),
    ...filesIn('docs', '.md').flatMap((file) => read(file).match(anId) ?? []),
  ];
  assert.deepEqual([...new Set(named)].sort(), explained.sort());
});
