/** bench:commits: its options, and what it makes of runs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareCommits, renderCommits } from '../../../bench/commits/compare.ts';
import { parseCommitsOptions } from '../../../bench/commits/options.ts';
import type { MicroResult } from '../../../bench/micro/result.ts';
import { WeftError } from '../../../src/shared/errors.ts';

/** A run with these times, ns by case. */
const run = (times: Record<string, number>): MicroResult =>
  ({
    entries: Object.entries(times).map(([name, nsPerOp]) => ({ name, nsPerOp })),
  }) as unknown as MicroResult;
const runs = (name: string, times: readonly number[]): MicroResult[] =>
  times.map((time) => run({ [name]: time }));

test('slower, faster, the same, and too few to say', () => {
  const verdictOf = (before: number[], after: number[]) =>
    compareCommits(runs('a', before), runs('a', after))[0]?.verdict;
  const times = [100, 101, 102, 103, 104];
  const plus = (more: number) => times.map((time) => time + more);
  assert.equal(verdictOf(times, plus(20)), 'worse');
  assert.equal(verdictOf(plus(20), times), 'better');
  assert.equal(verdictOf(times, plus(1)), 'same');
  // Certain, and not worth a word.
  assert.equal(verdictOf([1000, 1000.1, 1000.2, 1000.3, 1000.4], plus(901)), 'same');
  assert.equal(verdictOf([100, 101], [200, 201]), 'too few runs');
});

test('a case that only one of them has is left out', () => {
  const changes = compareCommits([run({ a: 1, b: 2 })], [run({ b: 2, c: 3 })]);
  assert.deepEqual(
    changes.map(({ name }) => name),
    ['b'],
  );
});

test('the table names what is slower, and counts', () => {
  const before = [1, 2, 3, 4, 5].map((i) => run({ gate: 10 + i / 10, routes: 20 }));
  const after = [1, 2, 3, 4, 5].map((i) => run({ gate: 15 + i / 10, routes: 20 }));
  const lines = renderCommits(compareCommits(before, after)).split('\n');
  assert.match(lines[0] ?? '', /^case +ns then +ns now +ratio +chance$/);
  assert.match(lines[1] ?? '', /^gate +10\.3 +15\.3 +1\.49 +0\.008 +SLOWER$/);
  assert.match(lines[2] ?? '', /^routes +20\.0 +20\.0 +1\.00 +1\.000$/);
  assert.match(lines.at(-1) ?? '', /^2 cases: 1 slower, 0 faster /);
});

test('the command line: two commits, the newer is HEAD, and nothing unknown', () => {
  const { before, after, rounds } = parseCommitsOptions(['v1.0.0']);
  assert.deepEqual([before, after, rounds], ['v1.0.0', 'HEAD', 5]);
  assert.equal(parseCommitsOptions(['--help']).help, true);
  for (const words of [
    [],
    ['a', 'b', 'c'],
    ['a', '--rounds', '4'],
    ['a', '--rounds', 'many'],
    ['a', '--nosuch'],
  ])
    assert.throws(
      () => parseCommitsOptions(words),
      (error) => error instanceof WeftError && error.exitCode === 2,
      words.join(' '),
    );
});
