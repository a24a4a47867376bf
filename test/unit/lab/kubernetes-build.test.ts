import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { projectRoot } from '../../../src/shared/root.ts';
import { temporaryFolder } from '../../support/folder.ts';

function build(cache: string, environment: NodeJS.ProcessEnv, ...components: string[]) {
  const words = [path.join(projectRoot(), 'lab/kubernetes/build.mjs'), ...components];
  const env = { ...process.env, XDG_CACHE_HOME: cache, ...environment };
  const { status, stdout, stderr } = spawnSync(process.execPath, words, { env, encoding: 'utf8' });
  return { status, stdout, stderr };
}

test('a component that does not exist is refused with those that do', async (t) => {
  const { status, stderr } = build(await temporaryFolder(t), {}, 'kube-apiserver', 'kubectl');
  assert.equal(status, 71);
  assert.match(stderr, /no component: kubectl; there are kube-apiserver, .*kubelet/);
});

test('where apt knows no Debian, the build says what it needs; nothing is downloaded', async (t) => {
  const folder = await temporaryFolder(t);
  const apt = path.join(folder, 'apt-get');
  writeFileSync(
    apt,
    '#!/bin/sh\n[ "$1" = indextargets ] || exit 99\necho Packages Other main one x\n',
  );
  chmodSync(apt, 0o755);
  const { status, stdout, stderr } = build(folder, { PATH: `${folder}:${process.env['PATH']}` });
  assert.equal(status, 71);
  assert.equal(stdout, '');
  assert.match(stderr, /apt has no list of a Debian: .* Debian bookworm/);
});
