/** The table that bench prints. Pure functions. */
import type { Comparison } from './compare.ts';
import type { Entry } from './result.ts';

/** One line for each entry; the ratio column only when something is compared. */
export function renderTable(entries: readonly Entry[], comparisons: readonly Comparison[]): string {
  const compared = new Map(comparisons.map((comparison) => [comparison.name, comparison]));
  const head = ['name', 'ops/s', 'ns/op', '± %', 'samples', 'heap B/op'];
  if (compared.size > 0) head.push('ratio');
  head.push('');
  const rows = entries.map((entry) => {
    const cells = [
      entry.name,
      wholeNumber(entry.opsPerSecond),
      wholeNumber(entry.nsPerOp, entry.nsPerOp < 1_000 ? 1 : 0),
      entry.errorPct.toFixed(1),
      String(entry.samples),
      wholeNumber(entry.heapBytesPerOp),
    ];
    if (compared.size > 0) cells.push(compared.get(entry.name)?.ratio.toFixed(2) ?? '-');
    cells.push(remarks(entry, compared.get(entry.name)));
    return cells;
  });
  return aligned([head, ...rows]);
}

function wholeNumber(value: number, digits = 0): string {
  return value.toLocaleString('en-US', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

function remarks(entry: Entry, comparison: Comparison | undefined): string {
  const parts: string[] = [];
  if (comparison?.isSlower) parts.push(comparison.isUnsure ? 'slower?' : 'slower');
  if (entry.nsPerSegment !== undefined) parts.push(`${wholeNumber(entry.nsPerSegment)} ns/segment`);
  if (entry.gbps !== undefined) parts.push(`${entry.gbps.toFixed(2)} Gbit/s`);
  return parts.join(', ');
}

/** First and last column to the left, numbers to the right, a rule below the head. */
function aligned(rows: readonly string[][]): string {
  const [head = []] = rows;
  const widths = head.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  const isText = (i: number): boolean => i === 0 || i === head.length - 1;
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (isText(i) ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd();
  const rule = widths.map((width) => '-'.repeat(width)).join('  ');
  return [line(head), rule.trimEnd(), ...rows.slice(1).map(line)].join('\n');
}
