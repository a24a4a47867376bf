/** The parts of bench:net that need no root: options, medians and ratios, what is read from /proc. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { busySeconds } from '../../../bench/net/cpu.ts';
import { choose, parseNetOptions } from '../../../bench/net/options.ts';
import type { Run, WorkInfo } from '../../../bench/net/result.ts';
import { spreadOf, summarize } from '../../../bench/net/statistics.ts';
import { percentileUs, WORKS } from '../../../bench/net/works.ts';

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

test('busy time leaves out idle, iowait and steal', () => {
  assert.equal(busySeconds('cpu  100 20 300 4000 500 60 70 800 0 0\ncpu0 1 2 3\n'), 5.5);
});

test('options: defaults, quick, and what is refused', () => {
  assert.equal(parseNetOptions([]).rounds, 5);
  assert.equal(parseNetOptions(['--quick']).rounds, 2);
  assert.deepEqual(parseNetOptions(['--links', 'wire']).links, ['wire']);
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
