/** This run against a saved one: only on the same type of machine. Pure functions. */
import type { Entry, MicroMachine, MicroResult } from './result.ts';

/** Time per operation may grow by so much before it is called slower: less is noise on a shared machine. */
const SLOWER_RATIO = 1.2;

export interface Comparison {
  name: string;
  /** time per operation now over then; 2 = takes twice as long */
  ratio: number;
  isSlower: boolean;
  /** the error intervals of both overlap: the difference may be chance */
  isUnsure: boolean;
}

/** The newest result of this class of machine, else of its CPU model, from results that come newest first. */
export function pickBaseline(
  results: readonly MicroResult[],
  machine: MicroMachine,
): MicroResult | undefined {
  const same = results.filter((result) => result.machine.cpu === machine.cpu);
  return same.find((result) => result.machine.cores === machine.cores) ?? same[0];
}

/** One comparison for each case that both have. */
export function compareEntries(now: readonly Entry[], then: readonly Entry[]): Comparison[] {
  const before = new Map(then.map((entry) => [entry.name, entry]));
  return now.flatMap((entry) => {
    const earlier = before.get(entry.name);
    if (!earlier) return [];
    const ratio = entry.nsPerOp / earlier.nsPerOp;
    const isUnsure =
      boundOf(entry, -1) <= boundOf(earlier, 1) && boundOf(entry, 1) >= boundOf(earlier, -1);
    return [{ name: entry.name, ratio, isSlower: ratio > SLOWER_RATIO, isUnsure }];
  });
}

/** Lower (-1) or upper (1) end of the time's error interval. */
function boundOf({ nsPerOp, errorPct }: Entry, side: -1 | 1): number {
  return nsPerOp * (1 + (side * errorPct) / 100);
}

/** What the ratios are against, or why there are none; empty without any saved result. */
export function describeBaseline(
  results: readonly MicroResult[],
  now: Pick<MicroResult, 'machine' | 'settings'>,
): string {
  const baseline = pickBaseline(results, now.machine);
  const newest = results[0];
  if (!newest) return '';
  if (!baseline) {
    return (
      `not compared: the newest saved result (${newest.weft.version}) is of another CPU model, ` +
      `${newest.machine.cpu}; this one is ${now.machine.cpu}`
    );
  }
  const { weft, startedAt, machine, settings } = baseline;
  const differences = [
    machine.node !== now.machine.node && `node ${machine.node} then, ${now.machine.node} now`,
    machine.cores !== now.machine.cores && `${machine.cores} cores then, ${now.machine.cores} now`,
    settings.quick !== now.settings.quick && (settings.quick ? 'quick then' : 'quick now'),
  ].filter(Boolean);
  const note = differences.length > 0 ? ` (${differences.join('; ')})` : '';
  return `ratio: time per operation over that of ${weft.version}, ${startedAt.slice(0, 10)}${note}`;
}
