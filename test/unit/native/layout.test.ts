/** The numbers that stand in C and in TypeScript are the same, and a difference in any of them is refused. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { loadAddon } from '../../../src/memory/addon.ts';
import { assertLayout, ECHO, FEATURE, ROW, STAT_NAMES } from '../../../src/memory/layout.ts';
import { projectRoot } from '../../../src/shared/root.ts';

const { layout } = loadAddon();
const header = (name: string): string =>
  readFileSync(path.join(projectRoot(), 'native', name), 'utf8');

test('every number of the headers is exported', () => {
  const defined = [
    ...header('layout.h').matchAll(/^(?:#define| {2}) ?([A-Z0-9_]+)(?: \d| =| \()/gm),
  ];
  const gso = [...header('gso.h').matchAll(/^ {2}(GSO_[A-Z0-9_]+) =/gm)];
  const fast = [
    ...header('fast-path/maps.h').matchAll(/^(?:#define| {2}) ?(FAST_[A-Z0-9_]+)(?: \d| =)/gm),
    ...header('bpf.h').matchAll(/^#define (FAST_[A-Z0-9_]+) \d/gm),
  ];
  const names = [...defined, ...gso, ...fast].map((match) => match[1] as string);
  assert.deepEqual(Object.keys(layout).sort(), names.sort());
  const tables = [ROW, ECHO, FEATURE, STAT_NAMES].map((table) => Object.keys(table).length);
  assert.deepEqual(tables, [13, 7, 12, 14]);
});

test('a number that differs, is missing or is new is refused by its name', () => {
  assertLayout(layout);
  for (const [name, value] of Object.entries(layout)) {
    assert.throws(() => assertLayout({ ...layout, [name]: value + 1 }), {
      message: `native addon: ${name} is ${value + 1}, expected ${value}; rebuild it with "npm run build"`,
    });
    const { [name]: _, ...others } = layout;
    assert.throws(() => assertLayout(others), new RegExp(`${name} is undefined`));
  }
  assert.throws(
    () => assertLayout({ ...layout, ROW_NEW: 13 }),
    /ROW_NEW is 13, expected undefined/,
  );
});

test('two names of the statistics that changed places are refused', () => {
  const { STAT_TUN_READS: reads, STAT_TUN_WRITES: writes } = layout;
  const swapped = { ...layout, STAT_TUN_READS: writes as number, STAT_TUN_WRITES: reads as number };
  assert.throws(() => assertLayout(swapped), /STAT_TUN_READS is 1, expected 0/);
});
