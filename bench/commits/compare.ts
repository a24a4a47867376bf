/** Runs of two commits: what got slower or faster by more than chance. Pure functions. */
import type { MicroResult } from '../micro/result.ts';
import { CHANCE, type Change, changeOf, LEAST_CHANGE } from '../significance.ts';

export interface CaseChange extends Change {
  name: string;
  /** median time of an operation now over then */
  ratio: number;
}

/** In the order of the cases; those that only one commit has are left out. */
export function compareCommits(
  before: readonly MicroResult[],
  after: readonly MicroResult[],
): CaseChange[] {
  const [old, now] = [timesOf(before), timesOf(after)];
  return [...now].flatMap(([name, times]) => {
    const earlier = old.get(name);
    if (!earlier) return [];
    const change = changeOf(earlier, times, 'lower');
    return [{ name, ratio: change.after / change.before, ...change }];
  });
}

/** ns of an operation in each run, by case. */
function timesOf(results: readonly MicroResult[]): Map<string, number[]> {
  const times = new Map<string, number[]>();
  for (const { entries } of results)
    for (const { name, nsPerOp } of entries) times.set(name, [...(times.get(name) ?? []), nsPerOp]);
  return times;
}

const WORDS = { better: 'faster', worse: 'SLOWER', same: '', 'too few runs': 'too few runs' };

/** A line for each case, and a sentence. */
export function renderCommits(changes: readonly CaseChange[]): string {
  const width = Math.max(4, ...changes.map(({ name }) => name.length));
  const row = (name: string, ...rest: string[]): string =>
    `${name.padEnd(width)}  ${rest.map((text) => text.padStart(9)).join('  ')}`.trimEnd();
  const rows = changes.map(({ name, before, after, ratio, chance, verdict }) =>
    row(
      name,
      before.toFixed(1),
      after.toFixed(1),
      ratio.toFixed(2),
      chance.toFixed(3),
      WORDS[verdict],
    ),
  );
  const count = (verdict: Change['verdict']): number =>
    changes.filter((change) => change.verdict === verdict).length;
  return [
    row('case', 'ns then', 'ns now', 'ratio', 'chance', ''),
    ...rows,
    '',
    `${changes.length} case${changes.length === 1 ? '' : 's'}: ${count('worse')} slower, ${count('better')} faster (medians that differ by ${LEAST_CHANGE * 100} % or more, with less than ${CHANCE * 100} % chance)`,
  ].join('\n');
}
