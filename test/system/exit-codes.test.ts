/** The exit codes of `weft`, as a shell sees them. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { projectRoot } from '../../src/shared/root.ts';
import { programVersion } from '../../src/shared/version.ts';
import { needs } from '../support/needs.ts';

const { test } = needs();

const weft = (...args: string[]) =>
  spawnSync(path.join(projectRoot(), 'bin/weft'), args, { encoding: 'utf8' });

test('exit codes: 0 help and version, 2 not reachable, 64 usage', () => {
  assert.equal(weft('--help').status, 0);
  const version = weft('--version');
  assert.deepEqual([version.status, version.stdout], [0, `${programVersion()}\n`]);
  const away = weft('status', '--admin-socket=/nonexistent/weft.sock');
  assert.equal(away.status, 2);
  assert.match(away.stderr, /\/nonexistent\/weft\.sock/);
  const nonsense = weft('statsu');
  assert.equal(nonsense.status, 64);
  assert.match(nonsense.stderr, /Did you mean status\?/);
  assert.equal(weft('status', '--nonsense').status, 64);
  assert.equal(weft().status, 64);
});
