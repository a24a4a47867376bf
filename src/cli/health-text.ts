/** Health warnings and drop reasons as people read them. */
import type { HealthWarning } from '../api/health.ts';
import { DROP_REASONS, type DropName } from '../memory/drops.ts';
import type { Status } from './pages.ts';
import { renderAge, renderCount, wrapText } from './render.ts';
import type { Style } from './style.ts';

/** What is amiss, for how long, and what to do about it. */
export function warningLines(
  warnings: readonly HealthWarning[],
  style: Style,
  nowMs: number,
  width: number,
): string[] {
  return warnings.flatMap(({ severity, title, text, advice, impactsConnectivity, since }) => {
    const isCritical = severity === 'critical';
    const mark = isCritical
      ? style.bad(`✗ ${style.bold(title)}`)
      : style.warn(`! ${style.bold(title)}`);
    const age = renderAge(Math.max(0, nowMs - Date.parse(since)));
    const reach = impactsConnectivity ? ', pods may not reach each other' : '';
    return [
      `${mark} ${style.dim(`for ${age}${reach}`)}`,
      ...wrapText(text, width - 4).map((line) => `    ${line}`),
      ...adviceLines(advice, style, width),
    ];
  });
}

export interface DropCount {
  name: string;
  count: number;
  text: string;
  advice: string;
}

/** Reasons that were counted, the most frequent first. */
export function topDrops(drops: Status['drops'], most: number): DropCount[] {
  return Object.entries({ ...drops?.outbound, ...drops?.inbound })
    .filter(([, count]) => count > 0)
    .sort((a, b) => b[1] - a[1])
    .slice(0, most)
    .map(([name, count]) => {
      const known = DROP_REASONS[name as DropName];
      return { name, count, text: known?.text ?? 'of a newer weftd', advice: known?.advice ?? '' };
    });
}

export function dropLines(drops: readonly DropCount[], style: Style, width: number): string[] {
  const counts = drops.map(({ count }) => renderCount(count));
  const column = Math.max(0, ...counts.map((text) => text.length));
  return drops.flatMap(({ name, text, advice }, i) => [
    `  ${(counts[i] as string).padStart(column)} ${style.bold(name)}: ${text}`,
    ...adviceLines(advice, style, width),
  ]);
}

function adviceLines(advice: string, style: Style, width: number): string[] {
  if (advice === '') return [];
  return wrapText(advice, width - 6).map((line, i) =>
    style.dim(`    ${i === 0 ? '→' : ' '} ${line}`),
  );
}
