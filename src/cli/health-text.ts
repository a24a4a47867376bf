/** Health warnings and drop reasons as people read them. */
import type { HealthWarning } from '../api/health.ts';
import { DROP_REASONS, type DropName } from '../memory/drops.ts';
import type { Status } from './pages.ts';
import { renderAge, renderCount, wrapText } from './render.ts';
import type { Style } from './style.ts';

/** Nothing keeps pods from each other · some of them can't reach some others · this node is the trouble. */
export type Verdict = 'healthy' | 'degraded' | 'not healthy';

/** What a verdict is made of. */
type Judged = Pick<Status, 'healthy' | 'notReady' | 'health'>;

export function verdictOf({ healthy, notReady, health = [] }: Judged): Verdict {
  if (healthy) return 'healthy';
  return !notReady && worstOf(health)?.severity === 'warning' ? 'degraded' : 'not healthy';
}

/** Why it is not healthy, '' where that is not known. */
export function whyNotHealthy({ notReady, health = [] }: Judged): string {
  return notReady ?? worstOf(health)?.title ?? '';
}

function worstOf(health: readonly HealthWarning[]): HealthWarning | undefined {
  return health.find(({ impactsConnectivity }) => impactsConnectivity);
}

/** The verdict with its mark. */
export function renderVerdict(status: Judged, style: Style): string {
  const texts: Record<Verdict, string> = {
    healthy: status.health?.length ? style.warn('! healthy') : style.good('● healthy'),
    degraded: style.warn(style.bold('! DEGRADED')),
    'not healthy': style.bad(style.bold('✗ NOT HEALTHY')),
  };
  return texts[verdictOf(status)];
}

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
    const reach = impactsConnectivity ? ', pods may be unable to reach each other' : '';
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
