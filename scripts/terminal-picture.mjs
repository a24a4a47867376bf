/**
 * A terminal's screen as SVG: blocks are drawn as shapes, so that graphs look the same whatever font there is.
 *   tmux capture-pane -e -p > docs/images/top.ansi
 *   node scripts/terminal-picture.mjs docs/images/top.ansi docs/images/top.svg "weft top"
 */
import { readFileSync, writeFileSync } from 'node:fs';

const CELL = { width: 8.4, height: 18, baseline: 13.5, font: 14 };
const MARGIN = { side: 16, top: 44, bottom: 16 };
const COLOURS = { 31: '#ff7b72', 32: '#56d364', 33: '#e3b341', 36: '#58c4dc', 39: '#d6dde6' };
const BACKGROUND = '#0f141a';
const BAR = '#1a212b';
const DIM = 0.55;
const EIGHTHS = '▁▂▃▄▅▆▇█';

const PLAIN = { colour: 39, isBold: false, isDim: false };

/** Characters with the look that the sequences before them left, lines before included. */
function rowsOf(lines) {
  let state = PLAIN;
  return lines.map((line) => {
    const cells = [];
    // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences consist of them
    for (const [part, codes] of line.matchAll(/\u001b\[([0-9;]*)m|[\s\S]/gu)) {
      if (codes === undefined) cells.push({ text: part, ...state });
      else for (const code of codes.split(';').map(Number)) state = after(state, code);
    }
    return cells;
  });
}

function after(state, code) {
  if (code === 0) return PLAIN;
  if (code === 1) return { ...state, isBold: true };
  if (code === 2) return { ...state, isDim: true };
  if (code === 22) return { ...state, isBold: false, isDim: false };
  return code in COLOURS ? { ...state, colour: code } : state;
}

/** Runs of cells of one look, blocks each by itself. */
function shapesOf(cells, row) {
  const shapes = [];
  const y = MARGIN.top + row * CELL.height;
  let run;
  cells.forEach((cell, column) => {
    const x = MARGIN.side + column * CELL.width;
    const eighths = EIGHTHS.indexOf(cell.text) + 1;
    const look = `${cell.colour} ${cell.isBold} ${cell.isDim}`;
    if (eighths > 0 || cell.text === '■') {
      run = undefined;
      shapes.push(block(cell, x, y, eighths));
    } else if (cell.text === ' ') {
      run = undefined;
    } else if (run?.look === look) {
      run.text += cell.text;
    } else {
      run = { look, cell, x, y, text: cell.text };
      shapes.push(run);
    }
  });
  return shapes.map((shape) => (typeof shape === 'string' ? shape : textOf(shape)));
}

function block({ colour, isDim }, x, y, eighths) {
  const share = eighths > 0 ? eighths / 8 : 0.6;
  const height = CELL.height * share;
  const top = eighths > 0 ? y + CELL.height - height : y + (CELL.height - height) / 2;
  const width = eighths > 0 ? CELL.width - 0.9 : CELL.width - 2;
  return `<rect x="${fixed(x)}" y="${fixed(top)}" width="${fixed(width)}" height="${fixed(height)}" fill="${COLOURS[colour]}"${isDim ? ` opacity="${DIM}"` : ''}/>`;
}

function textOf({ cell, x, y, text }) {
  const escaped = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  const length = fixed([...text].length * CELL.width);
  const bold = cell.isBold ? ' font-weight="bold"' : '';
  const dim = cell.isDim ? ` opacity="${DIM}"` : '';
  return `<text x="${fixed(x)}" y="${fixed(y + CELL.baseline)}" textLength="${length}" lengthAdjust="spacingAndGlyphs" fill="${COLOURS[cell.colour]}"${bold}${dim}>${escaped}</text>`;
}

function fixed(value) {
  return Number(value.toFixed(2));
}

/** The whole picture, with a title bar. */
function svgOf(lines, title) {
  const rows = rowsOf(lines);
  const columns = Math.max(...rows.map((row) => row.length));
  const width = Math.ceil(columns * CELL.width + 2 * MARGIN.side);
  const height = rows.length * CELL.height + MARGIN.top + MARGIN.bottom;
  const buttons = [COLOURS[31], COLOURS[33], COLOURS[32]].map(
    (colour, i) => `<circle cx="${20 + i * 20}" cy="16" r="5.5" fill="${colour}" opacity="0.85"/>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="${CELL.font}">`,
    `<title>${title}</title>`,
    `<rect width="${width}" height="${height}" rx="10" fill="${BACKGROUND}"/>`,
    `<path d="M0 32V10A10 10 0 0 1 10 0H${width - 10}A10 10 0 0 1 ${width} 10V32Z" fill="${BAR}"/>`,
    ...buttons,
    `<text x="${width / 2}" y="21" text-anchor="middle" fill="#8b98a8">${title}</text>`,
    ...rows.flatMap(shapesOf),
    '</svg>',
    '',
  ].join('\n');
}

const [from, to, title = ''] = process.argv.slice(2);
if (!from || !to) {
  process.stderr.write('usage: node scripts/terminal-picture.mjs FILE.ansi FILE.svg [title]\n');
  process.exit(64);
}
const screen = readFileSync(from, 'utf8').replace(/\n+$/, '').split('\n');
writeFileSync(to, svgOf(screen, title));
