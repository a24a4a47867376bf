/** The result as text: a table for each kind of work, a row for each data plane. */
import { busyWarning } from './busy.ts';
import { describeCosts } from './machine.ts';
import type { BenchResult, LinkInfo, Quantity, Summary, WorkInfo } from './result.ts';
import { BASELINE, find } from './statistics.ts';

/** 12.34, 123, 234k */
export function short(value: number): string {
  if (value >= 10_000) return `${Math.round(value / 1000)}k`;
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** "1.23" or "-": the median of a quantity that the work and the runs have. */
export function quantityText(summary: Summary | undefined, quantity: Quantity | undefined): string {
  const found = quantity && summary?.values[quantity.metric];
  return found ? short(found.median) : '-';
}

const HEAD = ['plane', 'median', 'ratio to kernel [least-greatest]', 'p99 µs', 'loss', 'CPU'];

function row(plane: string, summary: Summary, work: WorkInfo): string[] {
  const main = summary.values[work.metric];
  const { ratio } = summary;
  const ratioText =
    ratio && plane !== BASELINE
      ? `${ratio.median.toFixed(2)} [${ratio.min.toFixed(2)}-${ratio.max.toFixed(2)}]`
      : '-';
  const tail = work.tail === undefined ? undefined : { metric: work.tail, unit: 'µs' };
  return [
    plane,
    main ? short(main.median) : summary.failed > 0 ? 'failed' : 'none came through',
    ratioText,
    quantityText(summary, tail),
    quantityText(summary, work.loss),
    quantityText(summary, work.cost),
  ];
}

function workTable(result: BenchResult, link: LinkInfo, work: WorkInfo): string[] {
  const rows = result.planes.flatMap((plane) => {
    const summary = find(result, link.id, work.id, plane.id);
    return summary ? [row(plane.id, summary, work)] : [];
  });
  if (rows.length === 0) return [];
  const units = [work.unit, work.loss?.unit, work.cost?.unit].filter(Boolean).join(', ');
  return [`${work.id}: ${work.label} (${units})`, align([HEAD, ...rows]), ''];
}

/** Columns of one width, indented. */
export function align(rows: readonly string[][]): string {
  const widths = (rows[0] as string[]).map((_, i) =>
    Math.max(...rows.map((row) => (row[i] as string).length)),
  );
  return rows
    .map((row) =>
      `  ${row.map((text, i) => text.padEnd(widths[i] as number)).join('  ')}`.trimEnd(),
    )
    .join('\n');
}

export function renderTable(result: BenchResult): string {
  const { machine, settings, weft } = result;
  const warning = busyWarning(result);
  const head = [
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}; weft ${weft.version} ${weft.commit}${weft.dirty ? ' with changes' : ''}`,
    ...describeCosts(machine),
    `${settings.rounds} rounds of ${settings.seconds} s, TCP by ${settings.congestion}; medians, ratio to kernel VXLAN of the same round`,
    ...(warning === undefined ? [] : [`WARNING: ${warning}`]),
  ];
  const tables = result.links.flatMap((link) => [
    `== ${link.label}`,
    ...result.works.flatMap((work) => workTable(result, link, work)),
  ]);
  return [...head, '', ...tables, ''].join('\n');
}
