/** Whether a result can be believed: what else ran on the machine while it was measured. */
import type { BenchResult, Run } from './result.ts';

/** Above so many % of all cores, taken by others, a run counts as disturbed. */
export const BUSY_PCT = 10;

export function isDisturbed({ conditions }: Pick<Run, 'conditions'>): boolean {
  return conditions !== undefined && conditions.foreignPct + conditions.stealPct > BUSY_PCT;
}

/** One sentence for people when the machine had other things to do; undefined when it had not, or when nobody looked. */
export function busyWarning(result: Pick<BenchResult, 'runs'>): string | undefined {
  const disturbed = result.runs.filter(isDisturbed);
  if (disturbed.length === 0) return undefined;
  const worst = disturbed
    .map(({ conditions }) => conditions)
    .reduce((a, b) => (taken(a) >= taken(b) ? a : b));
  return (
    `the machine was busy: in ${disturbed.length} of ${result.runs.length} runs others took more than ${BUSY_PCT} % of its cores ` +
    `(at most ${worst?.foreignPct.toFixed(0)} % by programs, ${worst?.stealPct.toFixed(0)} % by the hypervisor; load ${worst?.load1}); ` +
    `do not rely on these figures`
  );
}

function taken(conditions: Run['conditions']): number {
  return conditions === undefined ? 0 : conditions.foreignPct + conditions.stealPct;
}
