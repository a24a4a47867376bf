/** From runs to summaries: medians, and ratios to kernel VXLAN made pair by pair. */
import { medianOf } from '../significance.ts';
import type { BenchResult, Run, Spread, Summary, WorkInfo } from './result.ts';

/** The plane that ratios are made against. */
export const BASELINE = 'kernel';

/** Median (mean of the middle two), least and greatest. Throws RangeError for an empty list. */
export function spreadOf(values: readonly number[]): Spread {
  return {
    median: medianOf(values),
    min: Math.min(...values),
    max: Math.max(...values),
    count: values.length,
  };
}

/** One summary for each link, work and plane that has runs, in the order of the runs. */
export function summarize(runs: readonly Run[], works: readonly WorkInfo[]): Summary[] {
  const groups = new Map<string, Run[]>();
  for (const run of runs) {
    const key = `${run.link} ${run.work} ${run.plane}`;
    groups.set(key, [...(groups.get(key) ?? []), run]);
  }
  return [...groups.values()].map((group) => summaryOf(group, runs, works));
}

function summaryOf(group: Run[], runs: readonly Run[], works: readonly WorkInfo[]): Summary {
  const { link, work, plane } = group[0] as Run;
  const ratios = ratiosOf(group, runs, works.find((info) => info.id === work)?.metric ?? '');
  return {
    link,
    work,
    plane,
    values: spreads(group),
    ...(ratios.length > 0 && { ratio: spreadOf(ratios) }),
    failed: group.filter((run) => run.error !== undefined).length,
  };
}

function spreads(group: readonly Run[]): Record<string, Spread> {
  const names = new Set(group.flatMap((run) => Object.keys(run.values ?? {})));
  const valuesOf = (name: string): number[] =>
    group.map((run) => run.values?.[name]).filter((value) => value !== undefined);
  return Object.fromEntries([...names].map((name) => [name, spreadOf(valuesOf(name))]));
}

/** A plane's value over the baseline's of the same round, for each run of `group` that has such a partner in `runs`. */
export function ratiosOf(group: readonly Run[], runs: readonly Run[], metric: string): number[] {
  return group.flatMap((run) => {
    const isPartner = (other: Run): boolean =>
      other.plane === BASELINE &&
      other.link === run.link &&
      other.work === run.work &&
      other.round === run.round;
    const own = run.values?.[metric];
    const base = runs.find(isPartner)?.values?.[metric];
    return own === undefined || base === undefined || base === 0 ? [] : [own / base];
  });
}

/** Value that `share` of the samples do not exceed, in µs (upper bound of its class, 3 % wide), of [upper bound in ns, count]. */
export function percentileUs(
  histogram: readonly (readonly [number, number])[],
  share: number,
): number {
  const total = histogram.reduce((sum, [, count]) => sum + count, 0);
  let seen = 0;
  for (const [boundNs, count] of histogram) {
    seen += count;
    if (seen >= total * share) return boundNs / 1000;
  }
  return 0;
}

/** The summary of one cell, if it was measured. */
export function find(
  result: Pick<BenchResult, 'summaries'>,
  link: string,
  work: string,
  plane: string,
): Summary | undefined {
  return result.summaries.find((s) => s.link === link && s.work === work && s.plane === plane);
}
