/** The parts of bench:net that need no root: options, medians and ratios, what is read from /proc. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LINKS } from '../../../bench/net/links.ts';
import { choose, parseNetOptions } from '../../../bench/net/options.ts';
import { PLANES } from '../../../bench/net/planes/all.ts';
import type { Run, WorkInfo } from '../../../bench/net/result.ts';
import { isPlanned, plannedRuns } from '../../../bench/net/session.ts';
import { percentileUs, spreadOf, summarize } from '../../../bench/net/statistics.ts';
import { WORKS } from '../../../bench/net/works/all.ts';

const WORK: WorkInfo = {
  id: 'tcp1',
  label: 'TCP',
  metric: 'gbps',
  unit: 'Gbit/s',
  better: 'higher',
};

function run(plane: string, round: number, gbps: number | undefined): Run {
  const head = {
    link: 'veth' as const,
    work: 'tcp1',
    plane,
    round,
    startedAt: '2026-01-01T00:00:00Z',
  };
  return gbps === undefined ? { ...head, error: 'no route' } : { ...head, values: { gbps } };
}

test('the median of an even number is the mean of the middle two; nothing has no median', () => {
  assert.deepEqual(spreadOf([4, 1, 3, 2]), { median: 2.5, min: 1, max: 4, count: 4 });
  assert.deepEqual(spreadOf([7]), { median: 7, min: 7, max: 7, count: 1 });
  assert.throws(() => spreadOf([]), RangeError);
});

test('ratios are made within a round; failed runs and rounds without a partner make none', () => {
  const runs = [run('kernel', 1, 10), run('weft', 1, 5), run('weft', 2, 8), run('kernel', 2, 4)];
  runs.push(run('kernel', 3, 2), run('weft', 3, undefined), run('weft', 4, 100));
  const [, weft] = summarize(runs, [WORK]);
  assert.deepEqual(weft?.ratio, { median: 1.25, min: 0.5, max: 2, count: 2 });
  assert.equal(weft?.failed, 1);
  assert.equal(weft?.values['gbps']?.median, 8);
});

test('a percentile is the upper bound of the class that reaches it', () => {
  const histogram: [number, number][] = [
    [1000, 90],
    [2000, 9],
    [9000, 1],
  ];
  assert.deepEqual(
    [0.5, 0.9, 0.91, 0.99, 0.999].map((share) => percentileUs(histogram, share)),
    [1, 1, 2, 2, 9],
  );
});

test("every kind of work says what it loses and costs, and TCP leads with the session's control", () => {
  for (const work of WORKS) assert.ok(work.loss && work.cost, work.id);
  assert.equal(WORKS[0]?.id, 'tcp1');
  assert.equal(WORKS[0]?.congestion, undefined);
  assert.equal(WORKS.find(({ id }) => id === 'tcp1-bbr')?.congestion, 'bbr');
});

test('core planes are measured with every work, others with the main ones, on other links only the core', () => {
  const pick = <T extends { id: string }>(all: readonly T[], id: string): T => {
    const found = all.find((each) => each.id === id);
    assert.ok(found, id);
    return found;
  };
  const [veth, jumbo] = [pick(LINKS, 'veth'), pick(LINKS, 'veth-9000')];
  const [weft, fastd] = [pick(PLANES, 'weft'), pick(PLANES, 'fastd')];
  const [main, other] = [pick(WORKS, 'tcp1'), pick(WORKS, 'rr32')];
  const plan = (everything: boolean) => ({
    links: [veth, jumbo],
    planes: [weft, fastd],
    works: [main, other],
    rounds: 3,
    everything,
  });
  const usual = plan(false);
  assert.ok(isPlanned(usual, veth, weft, other) && isPlanned(usual, veth, fastd, main));
  assert.ok(!isPlanned(usual, veth, fastd, other) && !isPlanned(usual, jumbo, weft, other));
  assert.ok(isPlanned(plan(true), veth, fastd, other) && isPlanned(plan(true), jumbo, weft, other));
  assert.ok(!isPlanned(plan(true), jumbo, fastd, main));
  assert.equal(plannedRuns(usual), 4 * 3);
  assert.equal(plannedRuns(plan(true)), 6 * 3);
});

test('options: defaults, quick, and what is refused', () => {
  assert.equal(parseNetOptions([]).rounds, 5);
  assert.equal(parseNetOptions(['--quick']).rounds, 2);
  const linksOf = (...args: string[]): string[] => parseNetOptions(args).links.map(({ id }) => id);
  assert.deepEqual(linksOf('--links', 'wire'), ['wire']);
  assert.deepEqual(linksOf('--quick'), ['veth', 'wire']);
  assert.equal(linksOf().length, LINKS.length);
  assert.equal(parseNetOptions([]).congestion, 'cubic');
  for (const args of [
    ['--links', 'wifi'],
    ['--rounds', '0'],
    ['--rounds', '1.5'],
    ['--seconds', '0.5'],
    ['--seconds', ''],
    ['--congestion', 'none-such'],
    ['--nonsense'],
    ['word'],
  ]) {
    assert.throws(() => parseNetOptions(args), { code: 'ERR_USAGE' }, args.join(' '));
  }
  assert.deepEqual(
    choose('--works', ['rr', 'tcp1'], WORKS).map((work) => work.id),
    ['tcp1', 'rr'],
  );
  assert.throws(() => choose('--works', ['tcp99'], WORKS), /tcp99 is none of tcp1/);
});
