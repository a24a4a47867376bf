/** The doctor's findings for people: a line each, by group, and at the end once more what needs a hand. */
import { renderAmount } from '../render.ts';
import type { Style } from '../style.ts';
import type { DoctorAnswer } from './answer.ts';

type Row = DoctorAnswer['checks'][number];

export function renderDoctor(
  { checks, summary, settings, notice }: DoctorAnswer,
  style: Style,
): string {
  const width = Math.max(0, ...checks.map(({ id }) => id.length));
  const line = ({ status, id, text }: Row): string =>
    `${markOf(status, style)} ${id.padEnd(width)}  ${status === 'skipped' ? style.dim(text) : text}`;
  const groups = [...new Set(checks.map(({ group }) => group))];
  const parts = groups.map((name) => {
    const rows = checks.filter(({ group }) => group === name);
    return [style.bold(name), ...rows.map(line)].join('\n');
  });
  const bad = [
    ...checks.filter(({ status }) => status === 'fail'),
    ...checks.filter(({ status }) => status === 'warn'),
  ];
  if (bad.length > 0)
    parts.push(
      [
        style.bold('what to do'),
        ...bad.map((row) => `${line(row)}\n  ${' '.repeat(width)}  → ${row.fix ?? ''}`),
      ].join('\n'),
    );
  const counts = `${summary.fail} failed, ${renderAmount(summary.warn, 'warning')}, ${summary.ok} ok, ${summary.skipped} skipped`;
  parts.push(`${counts}; settings: ${settings}`);
  return [...(notice ? [notice] : []), ...parts].join('\n\n');
}

function markOf(status: Row['status'], style: Style): string {
  if (status === 'ok') return style.good('✓');
  if (status === 'warn') return style.warn('!');
  return status === 'fail' ? style.bad('✗') : style.dim('–');
}
