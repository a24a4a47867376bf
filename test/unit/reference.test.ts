/** Pages that explain words: flannel's behaviours by their ids, and the glossary. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
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

test('the glossary is in order, and its words are defined where it says', () => {
  const rows = [
    ...read('docs/reference/glossary.md').matchAll(/^\| ([^|]+) \| [^|]+ \| `([^`]+)` \|$/gm),
  ];
  const words = rows.map(([, word = '']) => word.toLowerCase());
  assert.ok(words.length > 20);
  assert.deepEqual(words, [...words].sort());
  for (const [, word = '', file = ''] of rows)
    assert.ok(existsSync(path.join(projectRoot(), file)), `${word}: ${file}`);
});

test('what a README says lies in a folder lies there', () => {
  for (const folder of [
    'src/control',
    'src/dataplane',
    'native',
    'native/cni',
    'lab',
    'bench',
    'test',
  ]) {
    const named = [...read(`${folder}/README.md`).matchAll(/`([\w./-]+(?:\.(?:ts|c|h|mjs)|\/))`/g)];
    assert.ok(named.length > 5, folder);
    for (const [, name = ''] of named) {
      const places = [folder, '.', 'src'].map((start) => path.join(projectRoot(), start, name));
      assert.ok(places.some(existsSync), `${folder}/README.md: ${name}`);
    }
  }
});

/** As GitHub makes the anchor of a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{Letter}\p{Number}\s_-]/gu, '')
    .replaceAll(' ', '-');

test('links between pages lead somewhere', () => {
  const folders = ['docs', 'deploy', 'src', 'native', 'lab', 'bench', 'test'];
  const atTheTop = readdirSync(projectRoot()).filter((name) => name.endsWith('.md'));
  const pages = [...atTheTop, ...folders.flatMap((folder) => filesIn(folder, '.md')), PAGE];
  assert.ok(pages.length > 30);
  for (const page of pages) {
    for (const [, target = ''] of read(page).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [file = '', anchor] = target.split('#');
      const place = file === '' ? page : path.join(path.dirname(page), file);
      assert.ok(existsSync(path.join(projectRoot(), place)), `${page}: ${target}`);
      if (anchor === undefined) continue;
      const anchors = [...read(place).matchAll(/^#+ (.+)$/gm)].map(([, text = '']) =>
        anchorOf(text),
      );
      assert.ok(anchors.includes(anchor), `${page}: ${target}`);
    }
  }
});
