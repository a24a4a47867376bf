/** The man pages as mandoc sees them. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { projectRoot } from '../../src/shared/root.ts';
import { needs } from '../support/needs.ts';

const { test } = needs('mandoc');

test('mandoc finds nothing to warn of in the man pages', () => {
  const files = ['man/weftd.8', 'man/weft.1'].map((name) => path.join(projectRoot(), 'docs', name));
  const { stdout } = spawnSync('mandoc', ['-T', 'lint', '-W', 'warning', ...files], {
    encoding: 'utf8',
  });
  // A date would make the pages differ from day to day.
  const warnings = stdout.split('\n').filter((line) => !line.includes('missing date'));
  assert.equal(warnings.join('').trim(), '');
});
