/** What `weft` prints. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  clipLine,
  renderAge,
  renderBits,
  renderBytes,
  renderCount,
  renderTable,
  sparkline,
  widthOf,
  wrapText,
} from '../../../src/cli/render.ts';
import { chooseStyle } from '../../../src/cli/style.ts';

test('tables are aligned and have no blanks at the end', () => {
  assert.equal(
    renderTable(
      ['A', 'LONG'],
      [
        ['wide cell', 'x'],
        ['y', ''],
      ],
    ),
    'A          LONG\nwide cell  x\ny',
  );
});

test('colours: for a terminal, or when asked; they take no room in a table', () => {
  const red = '\u001b[31mx\u001b[39m';
  const terminal = { isTTY: true };
  assert.equal(chooseStyle('auto', terminal, {}).bad('x'), red);
  assert.equal(chooseStyle('auto', {}, {}).bad('x'), 'x');
  assert.equal(chooseStyle('auto', terminal, { NO_COLOR: '1' }).bad('x'), 'x');
  assert.equal(chooseStyle('auto', terminal, { TERM: 'dumb' }).bad('x'), 'x');
  assert.equal(chooseStyle('always', {}, { NO_COLOR: '1' }).bad('x'), red);
  assert.equal(renderTable(['A', 'B'], [[red, 'y']]), `A  B\n${red}  y`);
});

test('amounts and ages', () => {
  assert.deepEqual([0, 1023, 1024, 1.5 * 2 ** 30].map(renderBytes), [
    '0 B',
    '1023 B',
    '1.0 KiB',
    '1.5 GiB',
  ]);
  assert.deepEqual([900, 119_000, 600_000, 86_400_000].map(renderAge), [
    '1s',
    '119s',
    '10min',
    '24h',
  ]);
});

test('rates have three digits and a unit', () => {
  assert.deepEqual([0, 999, 1234, 45_600, 1.2e6, 3e9].map(renderCount), [
    '0',
    '999',
    '1.23k',
    '45.6k',
    '1.20M',
    '3.00G',
  ]);
  assert.deepEqual([10, 125_000].map(renderBits), ['80 bit/s', '1.00 Mbit/s']);
});

test('lines are wrapped at blanks, and clipped with their colours closed', () => {
  assert.deepEqual(wrapText('one two three', 8), ['one two', 'three']);
  assert.deepEqual(wrapText('unbreakable x', 4), ['unbreakable', 'x']);
  const clipped = clipLine('\u001b[31mabcdef\u001b[39m', 4);
  assert.equal(clipped, '\u001b[31mabc\u001b[39m…');
  assert.equal(widthOf(clipped), 4);
});

test('sparklines: the largest value is highest, nothing is lowest, the newest is last', () => {
  assert.equal(sparkline([0, 1, 4, 8], 4), '▁▂▅█');
  assert.equal(sparkline([5, 1, 8], 2), '▂█');
  assert.equal(sparkline([3], 3), '  █');
  assert.equal(sparkline([0, 0], 2), '▁▁');
});
