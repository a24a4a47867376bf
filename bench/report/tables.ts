/** The tables of a result, in rows of plain text; html.ts and readme.ts put the markup around them. */

import type { BenchResult, Quantity, Summary } from '../net/result.ts';
import { BASELINE, find } from '../net/statistics.ts';
import { quantityText, short } from '../net/table.ts';

export interface Table {
  head: string[];
  rows: string[][];
}

/** "0.97 (0.91–1.02, 5 pairs)" */
export function ratioText(summary: Summary | undefined): string {
  const ratio = summary?.ratio;
  if (!ratio) return '–';
  const spread = `${ratio.min.toFixed(2)}–${ratio.max.toFixed(2)}`;
  return `${ratio.median.toFixed(2)} (${spread}, ${ratio.count} pairs)`;
}

/** "24.5 % lost" */
function amount(summary: Summary | undefined, quantity: Quantity | undefined): string {
  const text = quantityText(summary, quantity);
  return text === '-' ? '–' : `${text} ${quantity?.unit}`;
}

/** Ratios of every plane but the baseline, a column for each link. */
export function ratioTable(result: BenchResult): Table {
  const planes = result.planes.filter((plane) => plane.id !== BASELINE);
  return {
    head: ['work', 'data plane', ...result.links.flatMap(({ id }) => [id, 'loss', 'CPU'])],
    rows: result.works.flatMap((work) =>
      planes
        .filter((plane) => result.links.some((l) => find(result, l.id, work.id, plane.id)?.ratio))
        .map((plane) => [
          work.label,
          plane.label,
          ...result.links.flatMap((l) => {
            const summary = find(result, l.id, work.id, plane.id);
            return [ratioText(summary), amount(summary, work.loss), amount(summary, work.cost)];
          }),
        ]),
    ),
  };
}

/** Medians of every value, a row for each cell. */
export function medianTable(result: BenchResult): Table {
  const valueText = (summary: Summary): string =>
    Object.entries(summary.values)
      .map(
        ([name, { median, min, max }]) => `${name} ${short(median)} (${short(min)}–${short(max)})`,
      )
      .join(', ');
  return {
    head: ['link', 'work', 'data plane', 'median (least–greatest)', 'failed runs'],
    rows: result.summaries.map((summary) => [
      summary.link,
      summary.work,
      summary.plane,
      valueText(summary),
      String(summary.failed),
    ]),
  };
}

export function rawTable(result: BenchResult): Table {
  return {
    head: ['started', 'link', 'work', 'round', 'data plane', 'values'],
    rows: result.runs.map((run) => [
      run.startedAt,
      run.link,
      run.work,
      String(run.round),
      run.plane,
      run.error ??
        Object.entries(run.values ?? {})
          .map(([name, value]) => `${name} ${short(value)}`)
          .join(', '),
    ]),
  };
}

export function planeTable(result: BenchResult): Table {
  return {
    head: ['data plane', 'what it does besides carrying packets', 'version', 'MTU of the pods'],
    rows: result.planes.map((plane) => [
      `${plane.label} (${plane.id})`,
      plane.besides || 'nothing',
      plane.version,
      String(plane.podMtu),
    ]),
  };
}

export function failureTable(result: BenchResult): Table {
  return {
    head: ['link', 'work', 'round', 'data plane', 'error'],
    rows: result.runs
      .filter((run) => run.error !== undefined)
      .map((run) => [run.link, run.work, String(run.round), run.plane, run.error as string]),
  };
}
