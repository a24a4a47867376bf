/** The result as text: one table a link, medians and ratios to kernel VXLAN. */
import type { BenchResult, LinkInfo, Summary, WorkInfo } from './result.ts';
import { find } from './statistics.ts';

/** 12.34, 123, 234k */
export function short(value: number): string {
  if (value >= 10_000) return `${Math.round(value / 1000)}k`;
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function cell(summary: Summary | undefined, work: WorkInfo): string {
  if (!summary) return '-';
  const main = summary.values[work.metric];
  if (!main) return 'failed';
  const { ratio } = summary;
  const text = short(main.median);
  if (!ratio || summary.plane === 'kernel') return text;
  return `${text} ${ratio.median.toFixed(2)}x [${ratio.min.toFixed(2)}-${ratio.max.toFixed(2)}]`;
}

function linkTable(result: BenchResult, link: LinkInfo): string {
  const head = ['plane', ...result.works.map((work) => `${work.id} ${work.unit}`)];
  const rows = result.planes.map((plane) => [
    plane.id,
    ...result.works.map((work) => cell(find(result, link.id, work.id, plane.id), work)),
  ]);
  return `${link.label}\n${align([head, ...rows])}`;
}

function align(rows: readonly string[][]): string {
  const widths = (rows[0] as string[]).map((_, i) =>
    Math.max(...rows.map((row) => (row[i] as string).length)),
  );
  return rows
    .map((row) =>
      row
        .map((text, i) => text.padEnd(widths[i] as number))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export function renderTable(result: BenchResult): string {
  const { machine, settings, weft } = result;
  const head = [
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}; weft ${weft.version} ${weft.commit}${weft.dirty ? ' with changes' : ''}`,
    `${settings.rounds} rounds of ${settings.seconds} s; medians, ratio to kernel VXLAN of the same round [least-greatest]`,
  ];
  return [...head, '', ...result.links.map((link) => `${linkTable(result, link)}\n`)].join('\n');
}
