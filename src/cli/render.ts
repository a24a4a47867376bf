/** Text for people: aligned tables, amounts, ages. */

/** Terminal sequences take no room on the screen. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is what they consist of
const SEQUENCES = /\u001b\[[0-9;]*m/g;

/** Columns that a text takes on the screen. */
export function widthOf(text: string): number {
  return text.replace(SEQUENCES, '').length;
}

/** Columns under their titles, cells may be coloured. */
export function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, i) =>
    Math.max(widthOf(title), ...rows.map((row) => widthOf(row[i] ?? ''))),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) => cell + ' '.repeat((widths[i] as number) - widthOf(cell)))
      .join('  ')
      .trimEnd();
  return [head, ...rows].map(line).join('\n');
}

export function renderBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const step = Math.min(units.length - 1, bytes < 1 ? 0 : Math.floor(Math.log2(bytes) / 10));
  return `${(bytes / 1024 ** step).toFixed(step === 0 ? 0 : 1)} ${units[step]}`;
}

export function renderAge(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}min`;
  return `${Math.floor(seconds / 3600)}h`;
}

/** "0 minutes", "1 minute", "90 minutes", "50h". */
export function renderMinutes(ms: number): string {
  const minutes = Math.max(0, Math.floor(ms / 60_000));
  if (minutes > 120) return `${Math.floor(minutes / 60)}h`;
  return `${minutes} minute${minutes === 1 ? '' : 's'}`;
}

/** "1 warning", "2 warnings", "12.3k packets". */
export function renderAmount(amount: number, one: string): string {
  const count = renderCount(amount);
  return `${count} ${one}${count === '1' ? '' : 's'}`;
}

/** A rate as people say it: "0", "12.3k", "1.20M". */
export function renderCount(amount: number): string {
  if (amount < 1000) return String(Math.round(amount));
  if (amount < 1_000_000) return `${digits(amount / 1000)}k`;
  return amount < 1e9 ? `${digits(amount / 1e6)}M` : `${digits(amount / 1e9)}G`;
}

/** Bytes per second as bits per second. */
export function renderBits(bytesPerSecond: number): string {
  const bits = bytesPerSecond * 8;
  const text = renderCount(bits);
  const unit = text.at(-1) ?? '';
  return /[kMG]/.test(unit) ? `${text.slice(0, -1)} ${unit}bit/s` : `${text} bit/s`;
}

function digits(value: number): string {
  return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
}

/** Lines of at most `width` columns; a word that is longer has a line of its own. */
export function wrapText(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** The first `width` columns of a line that may be coloured; open colours are closed. */
export function clipLine(line: string, width: number): string {
  if (widthOf(line) <= width) return line;
  let rest = Math.max(0, width - 1);
  let clipped = '';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what they consist of
  for (const [part] of line.matchAll(/\u001b\[[0-9;]*m|./gsu)) {
    if (part.startsWith('\u001b')) clipped += part;
    else if (rest-- > 0) clipped += part;
  }
  return `${clipped}…`;
}

const BARS = '▁▂▃▄▅▆▇█';

/** One bar for each of the newest `width` values, the largest of them as high as the line; older places stay empty. */
export function sparkline(
  values: readonly number[],
  width: number,
  top = Math.max(...values.slice(-width), 0),
): string {
  const newest = values.slice(-width);
  const bar = (value: number): string => {
    if (value <= 0 || top <= 0) return BARS[0] as string;
    return BARS[Math.min(7, Math.max(1, Math.ceil((value / top) * 7)))] as string;
  };
  return newest.map(bar).join('').padStart(width);
}
