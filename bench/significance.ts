/** Whether two samples of measurements differ by more than chance. Pure functions. */

/** Below this chance a difference counts. Of 100 comparisons of equal things one gets there nevertheless. */
export const CHANCE = 0.01;
/** A smaller change of the median is not worth a word, however certain it is. */
export const LEAST_CHANGE = 0.03;
/** Up to so many values all arrangements are counted; above it the normal distribution is near enough. */
const EXACT_MAX = 40;

/** The chance that two samples of the same thing differ as much as these (Mann-Whitney U, two-sided; ties get middle ranks). */
export function chanceOf(a: readonly number[], b: readonly number[]): number {
  if (a.length === 0 || b.length === 0) return 1;
  const ranks = doubledRanks([...a, ...b]);
  const sum = ranks.slice(0, a.length).reduce((x, y) => x + y, 0);
  return ranks.length <= EXACT_MAX ? exact(ranks, a.length, sum) : normal(ranks, a.length, sum);
}

/** Ranks times two, so that the middle of a tie is a whole number too. */
function doubledRanks(values: readonly number[]): number[] {
  return values.map((value) => {
    const below = values.filter((other) => other < value).length;
    const equal = values.filter((other) => other === value).length;
    return 2 * below + equal + 1;
  });
}

/** Share of all ways to pick `size` ranks whose sum is as far from the mean as `sum`. */
function exact(ranks: readonly number[], size: number, sum: number): number {
  // ways[n].get(s): how many picks of n ranks have the sum s
  const ways = Array.from({ length: size + 1 }, () => new Map<number, number>());
  ways[0]?.set(0, 1);
  for (const rank of ranks)
    for (let n = size; n > 0; n--)
      for (const [s, count] of ways[n - 1] ?? [])
        ways[n]?.set(s + rank, (ways[n]?.get(s + rank) ?? 0) + count);
  const mean = (size * ranks.reduce((x, y) => x + y, 0)) / ranks.length;
  let all = 0;
  let far = 0;
  for (const [s, count] of ways[size] ?? []) {
    all += count;
    if (Math.abs(s - mean) >= Math.abs(sum - mean) - 1e-9) far += count;
  }
  return far / all;
}

function normal(ranks: readonly number[], size: number, sum: number): number {
  const total = ranks.length;
  const mean = ranks.reduce((x, y) => x + y, 0) / total;
  const variance = ranks.reduce((x, rank) => x + (rank - mean) ** 2, 0) / (total - 1);
  const deviation = Math.sqrt((variance * size * (total - size)) / total);
  return deviation === 0 ? 1 : twoSided(Math.abs(sum - size * mean) / deviation);
}

/** Two-sided tail of the normal distribution (Abramowitz and Stegun 26.2.17, error below 1e-7). */
function twoSided(z: number): number {
  const t = 1 / (1 + 0.2316419 * z);
  const factors = [0.31938153, -0.356563782, 1.781477937, -1.821255978, 1.330274429];
  const series = factors.reduceRight((sum, factor) => t * (factor + sum), 0);
  return Math.min(1, 2 * (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * series);
}

/** True when so many values can differ by more than chance at all: 4 and 4 can't, 5 and 5 can. */
export function isEnough(a: number, b: number): boolean {
  const lower = Array.from({ length: a }, (_, i) => i);
  const upper = Array.from({ length: b }, (_, i) => a + i);
  return chanceOf(lower, upper) < CHANCE;
}

export type Verdict = 'better' | 'worse' | 'same' | 'too few runs';

export interface Change {
  /** median then and now */
  before: number;
  after: number;
  chance: number;
  verdict: Verdict;
}

export function changeOf(
  before: readonly number[],
  after: readonly number[],
  better: 'higher' | 'lower',
): Change {
  const [old, now] = [medianOf(before), medianOf(after)];
  const chance = chanceOf(before, after);
  return { before: old, after: now, chance, verdict: verdict() };

  function verdict(): Verdict {
    if (!isEnough(before.length, after.length)) return 'too few runs';
    if (chance >= CHANCE || Math.abs(now - old) < LEAST_CHANGE * Math.abs(old)) return 'same';
    return now > old === (better === 'higher') ? 'better' : 'worse';
  }
}

/** Throws RangeError for an empty list. */
export function medianOf(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('no values');
  const sorted = [...values].sort((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  const upper = sorted[half] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] as number) + upper) / 2;
}
