/** Many small files looked at in one piece of work. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { lstat, mkdir, rename, symlink, writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { loadAddon } from '../../../src/memory/addon.ts';
import { temporaryFolder } from '../../support/folder.ts';

const addon = loadAddon();
const { ENOENT, ENOTDIR, ENAMETOOLONG } = constants.errno;

test('files: text, times, what is no regular file, and what is not there, in the order asked', async (t) => {
  const root = await temporaryFolder(t);
  const at = (name: string): string => path.join(root, name);
  await writeFile(at('text'), 'grüße\0\n');
  await writeFile(at('empty'), '');
  await writeFile(at('ten'), '0123456789');
  await writeFile(at('eleven'), '0123456789a');
  await writeFile(at('bad'), Buffer.from([0x61, 0xff, 0x62]));
  await mkdir(at('folder'));
  await symlink('text', at('link'));
  execFileSync('mkfifo', [at('pipe')]);
  const names = ['text', 'none', 'empty', 'ten', 'eleven', 'bad', 'folder', 'link', 'pipe'];
  const more = ['text/below', 'n'.repeat(300)];
  const files = [...names, ...more].map(at);
  const looks = await addon.lookAtFiles(files, 10);
  const none = undefined;
  const texts = ['grüße\0\n', none, '', '0123456789', none, 'a\ufffdb', none, none, none];
  assert.deepEqual(
    looks.map(({ text }) => text),
    [...texts, none, none],
  );
  assert.deepEqual(
    looks.map(({ errno }) => errno ?? 0),
    [0, -ENOENT, 0, 0, 0, 0, 0, 0, 0, -ENOTDIR, -ENAMETOOLONG],
  );
  for (const [i, file] of files.entries()) {
    const look = looks[i];
    if (look?.errno !== undefined) assert.deepEqual(Object.keys(look), ['errno'], file);
    else assert.ok(Math.abs((look?.modifiedMs ?? 0) - (await lstat(file)).mtimeMs) < 1, file);
  }
  const unread = await addon.lookAtFiles(files, 0);
  assert.ok(unread.every(({ text }) => text === undefined));
  assert.deepEqual(
    unread.map(({ stamp }) => stamp),
    looks.map(({ stamp }) => stamp),
    'a link and a pipe look the same whether they are read or not',
  );
});

test('files: a stamp changes with what is written in place, and with another file of the same name', async (t) => {
  const file = path.join(await temporaryFolder(t), 'file');
  const stamps = new Set<string | undefined>();
  const look = async (): Promise<number> => {
    const [found] = await addon.lookAtFiles([file], 0);
    return stamps.add(found?.stamp).size;
  };
  await writeFile(file, 'a');
  assert.equal(await look(), 1);
  assert.equal(await look(), 1);
  await new Promise((resolve) => setTimeout(resolve, 20)); // the kernel stamps by its tick
  await writeFile(file, 'b');
  assert.equal(await look(), 2);
  await writeFile(`${file}-new`, 'b');
  await rename(`${file}-new`, file);
  assert.equal(await look(), 3);
});

test('files: none, a thousand side by side, and bad arguments', async (t) => {
  const root = await temporaryFolder(t);
  assert.deepEqual(await addon.lookAtFiles([], 10), []);
  const files = Array.from({ length: 1_000 }, (_, n) => path.join(root, `${n}`));
  await Promise.all(files.map((file, n) => writeFile(file, `${n}`)));
  const all = await Promise.all(files.map((file) => addon.lookAtFiles([file], 10)));
  assert.deepEqual(
    all.map(([look]) => look?.text),
    files.map((_, n) => `${n}`),
  );
  for (const paths of ['x', [1], ['a\0b'], undefined] as unknown as string[][])
    assert.throws(() => addon.lookAtFiles(paths, 10), TypeError);
  assert.throws(() => addon.lookAtFiles(['x'], -1), RangeError);
});

test('files: a thread that ends while it waits for them ends all the same', async (t) => {
  const root = await temporaryFolder(t);
  const addonFile = path.resolve(import.meta.dirname, '../../../src/memory/addon.js');
  const text = `
    import(${JSON.stringify(addonFile)}).then(({ loadAddon }) => {
      for (let n = 0; n < 200; n++) loadAddon().lookAtFiles(Array(50).fill(${JSON.stringify(root)}), 10);
      process.exit(3);
    });`;
  const worker = new Worker(text, { eval: true });
  const code = await new Promise<number>((resolve) => {
    worker.once('exit', resolve);
  });
  assert.equal(code, 3);
});
