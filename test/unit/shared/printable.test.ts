/** What becomes of foreign text before people see it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  FOREIGN_CHARACTERS_MAX,
  printable,
  printableData,
  printableJson,
  printableLines,
} from '../../../src/shared/printable.ts';
import { activeIn, HOSTILE_TEXTS, hostileText } from '../../support/hostile-text.ts';

test('fuzz: no text acts or is longer than it may be, and what is harmless stays as it is', () => {
  fc.assert(
    fc.property(hostileText, fc.integer({ min: 1, max: 200 }), (text, most) => {
      const shown = printable(text, most);
      assert.equal(activeIn(shown, ''), '');
      assert.ok(shown.length <= most);
      assert.equal(printable(shown, most), shown, 'a second time changes nothing');
      if (activeIn(text, '') === '' && text.length <= most) assert.equal(shown, text);
    }),
    { numRuns: 3_000 },
  );
});

test('what acts is shown as JSON writes it', () => {
  assert.equal(
    printable('a\n\u001b[2J\u202e\u{e0041}ü😀'),
    'a\\n\\u001b[2J\\u202e\\udb40\\udc41ü😀',
  );
  assert.equal(printable('x'.repeat(101)), `${'x'.repeat(FOREIGN_CHARACTERS_MAX - 1)}…`);
  assert.equal(printable('x'.repeat(100)), 'x'.repeat(100));
});

test('a cut goes through no character', () => {
  for (const most of [2, 3, 4, 5]) assert.match(printable('😀😀😀😀😀', most), /^(?:😀)*…$/u);
});

test('fuzz: data keeps its form, keys included', () => {
  for (const text of HOSTILE_TEXTS) {
    const shown = printableData({ [text]: [text, { deep: text }, 1, null, true] });
    assert.equal(activeIn(JSON.stringify(shown), ''), '');
    const [[, list] = []] = Object.entries(shown);
    assert.deepEqual(list?.slice(2), [1, null, true]);
  }
  assert.deepEqual(Object.keys(printableData(JSON.parse('{"__proto__":1}'))), ['__proto__']);
});

test('fuzz: JSON says the same and does not act', () => {
  fc.assert(
    fc.property(hostileText, (text) => {
      const json = printableJson({ [text]: text });
      assert.equal(activeIn(json, ''), '');
      assert.deepEqual(JSON.parse(json), { [text]: text });
    }),
  );
});

test('lines and tabs stay where text has them', () => {
  assert.equal(printableLines('a\tb\n\u001b[2J\r\n'), 'a\tb\n\\u001b[2J\\u000d\n');
});
