/** A result for spreadsheets: a line for each value of each run (RFC 4180). */
import type { BenchResult } from './result.ts';

const HEAD = ['link', 'work', 'plane', 'round', 'startedAt', 'name', 'value'];

export function toCsv(result: Pick<BenchResult, 'runs'>): string {
  const lines = result.runs.flatMap((run) => {
    const head = [run.link, run.work, run.plane, String(run.round), run.startedAt];
    const values = { ...run.values, ...run.conditions };
    const rows = Object.entries(values).map(([name, value]) => [...head, name, String(value)]);
    return run.error === undefined ? rows : [...rows, [...head, 'error', run.error]];
  });
  return [HEAD, ...lines].map((cells) => `${cells.map(quoted).join(',')}\r\n`).join('');
}

function quoted(cell: string): string {
  return /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}
