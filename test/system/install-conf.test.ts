/** install-conf: the CNI config's copy, whole or not at all, as the init container of flannel's manifest calls it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { projectRoot } from '../../src/shared/root.ts';
import { JANSSON } from '../support/cni-plugin.ts';
import { temporaryFolder } from '../support/folder.ts';
import { needs } from '../support/needs.ts';

const { test } = needs('cc', JANSSON);

const installConf = (...words: string[]) =>
  spawnSync(path.join(projectRoot(), 'native/build/cni/install-conf'), words, {
    encoding: 'utf8',
    env: {},
  });

async function folders(t: TestContext) {
  const folder = await temporaryFolder(t);
  const from = path.join(folder, 'cni-conf.json');
  writeFileSync(from, '{"name": "cbr0"}\n');
  return { from, to: path.join(folder, 'net.d/10-flannel.conflist') };
}

const mode = (file: string): number => statSync(file).mode & 0o777;

test('install-conf makes the folder and copies content and mode', async (t) => {
  const { from, to } = await folders(t);
  for (const [text, wanted] of [
    ['{"name": "cbr0"}\n', 0o640],
    ['{}\n', 0o604],
  ] as const) {
    writeFileSync(from, text);
    chmodSync(from, wanted);
    const done = installConf(from, to);
    assert.deepEqual([done.status, done.stderr], [0, '']);
    assert.deepEqual([readFileSync(to, 'utf8'), mode(to)], [text, wanted]);
  }
  assert.deepEqual(readdirSync(path.dirname(to)), ['10-flannel.conflist']);
});

test('install-conf follows a link of a config map, and replaces one at its target', async (t) => {
  const { from, to } = await folders(t);
  const link = `${from}.link`;
  symlinkSync(from, link);
  mkdirSync(path.dirname(to));
  symlinkSync('/nonexistent/target', to);
  assert.equal(installConf(link, to).status, 0);
  assert.equal(readFileSync(to, 'utf8'), '{"name": "cbr0"}\n');
});

test('install-conf leaves what is there when it can not read or write, and says why', async (t) => {
  const { from, to } = await folders(t);
  const away = installConf(`${from}.away`, to);
  assert.equal(away.status, 1);
  assert.match(away.stderr, /^install-conf: cannot read .*\.away: No such file or directory\n$/);
  assert.ok(!existsSync(path.dirname(to)));
  mkdirSync(to, { recursive: true });
  const taken = installConf(from, to);
  assert.equal(taken.status, 1);
  assert.match(
    taken.stderr,
    /^install-conf: cannot write .*10-flannel\.conflist: Is a directory\n$/,
  );
  assert.deepEqual(readdirSync(path.dirname(to)), ['10-flannel.conflist']);
  assert.equal(installConf(path.dirname(to), to).status, 1);
});

test('install-conf copies several in their order, up to the first that fails', async (t) => {
  const { from, to } = await folders(t);
  const [second, third] = [`${to}.second`, `${to}.third`];
  assert.equal(installConf(from, to, to, second).status, 0);
  assert.equal(readFileSync(second, 'utf8'), '{"name": "cbr0"}\n');
  assert.equal(installConf(`${from}.away`, to, from, third).status, 1);
  assert.ok(!existsSync(third));
});

test('install-conf takes pairs of arguments', () => {
  for (const words of [[], ['one'], ['one', 'two', 'three']]) {
    const { status, stderr } = installConf(...words);
    assert.deepEqual([status, stderr], [64, 'usage: install-conf FROM TO [FROM TO ...]\n']);
  }
});
