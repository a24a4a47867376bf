/** What is freed goes back to the kernel, also after large memories were freed before. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { projectRoot } from '../../../src/shared/root.ts';

/** As when devices are made anew: large memories come and go, and small ones that stay are made in between. */
const SCRIPT = `
  import { readFileSync } from 'node:fs';
  import { loadAddon } from '${path.join(projectRoot(), 'dist/src/memory/addon.js')}';
  const heapBytes = () => {
    const [, kib] = /\\[heap\\]\\nSize:\\s+(\\d+) kB/.exec(readFileSync('/proc/self/smaps', 'utf8'));
    return Number(kib) * 1024;
  };
  loadAddon();
  const before = heapBytes();
  for (let i = 0; i < 10; i++) {
    new SharedArrayBuffer(12 << 20);
    gc();
  }
  const kept = new SharedArrayBuffer(8 << 20);
  process.stdout.write(String(heapBytes() - before + 0 * kept.byteLength));
`;

test('large memories are not made in the heap, whatever was freed before', () => {
  // Nobody's settings of malloc, and no sanitizer's malloc.
  const env = { PATH: process.env['PATH'] };
  const args = ['--expose-gc', '--input-type=module', '--eval', SCRIPT];
  const grown = Number(execFileSync(process.execPath, args, { env, encoding: 'utf8' }));
  assert.ok(grown < 4 << 20, `the heap grew by ${grown} bytes`);
});
