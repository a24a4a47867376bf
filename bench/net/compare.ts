/** One result beside an earlier one: what changed by more than chance. Pure functions. */
import { CHANCE, type Change, changeOf, LEAST_CHANGE } from '../significance.ts';
import type { BenchResult, LinkId, Run, WorkInfo } from './result.ts';
import { BASELINE, ratiosOf } from './statistics.ts';
import { align, short } from './table.ts';

export interface Difference extends Change {
  link: LinkId;
  work: string;
  plane: string;
  /** "ratio to kernel", or the unit that is compared: "Gbit/s", "CPU-s/GB" */
  what: string;
}

/**
 * A difference for each link, work and plane that both have: of the ratio to kernel VXLAN, which the state of the machine touches least,
 * or of the main value where one of them has no ratios; and of the cost.
 */
export function compareResults(before: BenchResult, after: BenchResult): Difference[] {
  return after.links.flatMap(({ id: link }) =>
    after.works.flatMap((work) =>
      after.planes.flatMap(({ id: plane }) => differences(before, after, link, work, plane)),
    ),
  );
}

function differences(
  before: BenchResult,
  after: BenchResult,
  link: LinkId,
  work: WorkInfo,
  plane: string,
): Difference[] {
  // The same id with another control, or another unit, is another work.
  const earlier = before.works.find(({ id }) => id === work.id);
  if (earlier?.unit !== work.unit || controlOf(before, earlier) !== controlOf(after, work))
    return [];
  const runsOf = ({ runs }: BenchResult): Run[] =>
    runs.filter((run) => run.link === link && run.work === work.id && run.plane === plane);
  const [old, now] = [runsOf(before), runsOf(after)];
  const compare = (what: string, a: number[], b: number[], better: WorkInfo['better']) =>
    a.length > 0 && b.length > 0
      ? [{ link, work: work.id, plane, what, ...changeOf(a, b, better) }]
      : [];
  const ratios = plane === BASELINE ? [] : ratiosOf(old, before.runs, work.metric);
  const ratiosNow = plane === BASELINE ? [] : ratiosOf(now, after.runs, work.metric);
  const main =
    ratios.length > 0 && ratiosNow.length > 0
      ? compare('ratio to kernel', ratios, ratiosNow, work.better)
      : compare(work.unit, valuesOf(old, work.metric), valuesOf(now, work.metric), work.better);
  // Before a work had a cost, its CPU time was that of the whole machine.
  const { cost } = work;
  if (cost === undefined || earlier?.cost === undefined) return main;
  return [
    ...main,
    ...compare(cost.unit, valuesOf(old, cost.metric), valuesOf(now, cost.metric), 'lower'),
  ];
}

function controlOf({ settings }: BenchResult, work: WorkInfo): string | undefined {
  return work.metric === 'gbps' ? (work.congestion ?? settings.congestion) : undefined;
}

function valuesOf(runs: readonly Run[], metric: string): number[] {
  return runs.map((run) => run.values?.[metric]).filter((value) => value !== undefined);
}

/** What is different about the two runs themselves; empty when nothing is. */
export function describeDifferences(before: BenchResult, after: BenchResult): string[] {
  const pairs: [string, unknown, unknown][] = [
    ['CPU', before.machine.cpu, after.machine.cpu],
    ['cores', before.machine.cores, after.machine.cores],
    ['kernel', before.machine.kernel, after.machine.kernel],
    ['Node', before.machine.node, after.machine.node],
    ['seconds of a run', before.settings.seconds, after.settings.seconds],
  ];
  return pairs.filter(([, a, b]) => a !== b).map(([name, a, b]) => `${name}: ${a} then, ${b} now`);
}

export function renderComparison(before: BenchResult, after: BenchResult): string {
  const all = compareResults(before, after);
  const rows = all.map((each) => [
    `${each.link} ${each.work}`,
    each.plane,
    each.what,
    short(each.before),
    short(each.after),
    each.before === 0 ? '-' : `${((each.after / each.before - 1) * 100).toFixed(1)} %`,
    each.chance.toFixed(3),
    each.verdict,
  ]);
  const head = ['work', 'plane', 'what', 'before', 'after', 'change', 'chance', 'verdict'];
  const differences = describeDifferences(before, after);
  return [
    `before: ${describe(before)}`,
    `after:  ${describe(after)}`,
    ...differences.map((text) => `  not the same: ${text}`),
    '',
    align([head, ...rows]),
    '',
    `better or worse: a chance below ${CHANCE} (Mann-Whitney U) that equal things differ so much, and a change of ${LEAST_CHANGE * 100} % or more; ` +
      `of ${all.length} comparisons ${Math.ceil(all.length * CHANCE)} may get there by chance`,
    '',
  ].join('\n');
}

function describe({ weft, startedAt, settings }: BenchResult): string {
  const state = weft.dirty ? ' with changes' : '';
  return `weft ${weft.version} ${weft.commit}${state}, ${startedAt.slice(0, 10)}, ${settings.rounds} rounds`;
}
