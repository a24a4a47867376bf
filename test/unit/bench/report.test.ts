/** The report from a made-up result: everything in it, nothing loaded from elsewhere, nothing unescaped. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BenchResult, Run } from '../../../bench/net/result.ts';
import { summarize } from '../../../bench/net/statistics.ts';
import { renderHtml } from '../../../bench/report/html.ts';
import { makePlots, percentileOf } from '../../../bench/report/plots.ts';
import { toPng } from '../../../bench/report/png.ts';
import { replaceBlock } from '../../../bench/report/readme.ts';
import { parseResult } from '../../../bench/report/schema.ts';

const AT = '2026-01-01T00:00:00.000Z';
const WORKS: BenchResult['works'] = [
  { id: 'tcp1', label: 'TCP, 1 stream', metric: 'gbps', unit: 'Gbit/s', better: 'higher' },
  {
    id: 'udp64',
    label: 'flood',
    metric: 'deliveredPerSecond',
    unit: 'packets/s',
    better: 'higher',
  },
  { id: 'rr', label: 'round trip', metric: 'p50Us', unit: 'µs', better: 'lower' },
];

function madeUpRuns(planes: readonly string[], links: readonly ('veth' | 'wire')[]): Run[] {
  return links.flatMap((link) =>
    planes.flatMap((plane, i) =>
      [1, 2].flatMap((round): Run[] => {
        const head = { link, plane, round, startedAt: AT };
        return [
          { ...head, work: 'tcp1', values: { gbps: 10 + i + round, cpuSecondsPerGb: 1 } },
          { ...head, work: 'udp64', values: { deliveredPerSecond: 1e5 * (i + 1) } },
          {
            ...head,
            work: 'rr',
            values: { p50Us: 40 - i },
            histogram: [
              [40 - i, 99],
              [90, 1],
            ],
          },
        ];
      }),
    ),
  );
}

function madeUp(
  planes = ['kernel', 'weft', 'fastd'],
  links: ('veth' | 'wire')[] = ['veth', 'wire'],
): BenchResult {
  const runs = madeUpRuns(planes, links);
  return {
    schemaVersion: 1,
    kind: 'net',
    startedAt: AT,
    finishedAt: AT,
    complete: true,
    weft: { version: '0.0.0', commit: 'abc', dirty: false },
    machine: {
      cpu: 'made up',
      cores: 2,
      memoryGib: 1,
      kernel: 'k',
      distribution: 'd',
      node: 'n',
      hypervisor: 'none',
    },
    settings: { rounds: 2, seconds: 1, warmupSeconds: 1, quick: false, congestion: 'cubic' },
    links: links.map((id) => ({ id, label: `link ${id}` })),
    planes: planes.map((id) => ({
      id,
      label: `the ${id}`,
      besides: '',
      version: '1',
      podMtu: 1450,
    })),
    works: WORKS,
    runs,
    summaries: summarize(runs, WORKS),
  };
}

test('the page holds every part and loads nothing', () => {
  const html = renderHtml(madeUp());
  for (const part of ['Ratios to kernel VXLAN', 'Method', 'Raw runs', 'the fastd', 'ethtool -K'])
    assert.ok(html.includes(part), part);
  assert.equal((html.match(/<figure/g) ?? []).length, 10);
  assert.doesNotMatch(html, /(src|href)\s*=\s*["']?(https?:)?\/\//i);
  assert.doesNotMatch(html, /@import|url\((?!#)/);
});

test('text from the result is escaped', () => {
  const result = madeUp();
  const evil = '<script>alert(1)</script>"&';
  (result.planes[1] as { label: string }).label = evil;
  (result.machine as { cpu: string }).cpu = evil;
  result.runs.push({
    link: 'veth',
    work: 'rr',
    plane: 'weft',
    round: 3,
    startedAt: AT,
    error: evil,
  });
  const html = renderHtml(result);
  assert.doesNotMatch(html, /<script/i);
  assert.ok(html.includes('&lt;script&gt;alert(1)&lt;/script&gt;&quot;&amp;'));
  assert.ok(html.includes('Failed runs'));
});

test('results with gaps still make a page: one link, no kernel, one work, nothing at all', () => {
  const without = madeUp(['weft', 'fastd'], ['wire']);
  assert.ok(without.summaries.every((summary) => summary.ratio === undefined));
  assert.ok(renderHtml(without).includes('the weft'));
  assert.ok(!makePlots(without).some((plot) => plot.name.startsWith('ratio')));
  const empty: BenchResult = { ...madeUp(), runs: [], summaries: [], planes: [], complete: false };
  assert.ok(renderHtml(empty).includes('stopped before its end'));
  assert.deepEqual(makePlots(empty), []);
});

test('the README has loss and cost of kernel and weft, and no overlay as the limit', () => {
  const made = madeUp(['kernel', 'weft', 'none'], ['veth']);
  (made.works[0] as { cost: object }).cost = { metric: 'cpuSecondsPerGb', unit: 'CPU-s/GB' };
  const markers = '<!-- bench:begin -->\n<!-- bench:end -->\n';
  const text = replaceBlock(markers, made, 'x', []);
  // kernel 11 and 12, weft 12 and 13, none 13 and 14; each costs 1
  assert.match(
    text,
    /^\| TCP, 1 stream \| 11.5 Gbit\/s \| 1.09 \(1.08–1.09\) \| 1.17 .* \| 1.00, 1.00 CPU-s\/GB \|$/m,
  );
  assert.match(text, /spins/);
  const fast = madeUp(['kernel', 'weft', 'weft-fast'], ['veth']);
  const columns =
    '| kernel VXLAN | weft | weft, workers alone | lost: kernel, weft, workers alone |';
  assert.ok(replaceBlock(markers, fast, 'x', []).includes(columns));
  assert.doesNotMatch(text, /Not to rely on/);
  const [run] = made.runs;
  (run as Run).conditions = { load1: 3, stealPct: 0, foreignPct: 60 };
  assert.match(replaceBlock(markers, made, 'x', []), /Not to rely on:\*\* the machine was busy/);
  assert.match(renderHtml(made), /class="warning"/);
});

test('what is lost has a plot of its own', () => {
  const made = madeUp(['kernel', 'weft'], ['veth']);
  const before = makePlots(made).map(({ name }) => name);
  assert.ok(!before.includes('loss-veth'));
  for (const run of made.runs)
    if (run.work === 'udp64') run.values = { ...run.values, lossPct: 12.5 };
  made.summaries = summarize(made.runs, WORKS);
  const plot = makePlots(made).find(({ name }) => name === 'loss-veth');
  assert.match(plot?.svg ?? '', /12\.5/);
});

test('plots become PNG', () => {
  const [plot] = makePlots(madeUp());
  const png = toPng(plot?.svg ?? '');
  assert.deepEqual([...png.subarray(0, 8)], [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
});

test('a percentile runs over the classes of all histograms', () => {
  const histograms: [number, number][][] = [
    [[10, 50]],
    [
      [20, 49],
      [90, 1],
    ],
  ];
  assert.deepEqual(
    [50, 99, 99.9].map((p) => percentileOf(histograms, p)),
    [10, 20, 90],
  );
  assert.equal(percentileOf([], 50), undefined);
});

test('the README block is replaced, again with the same outcome, and its markers are needed', () => {
  const readme = 'a\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nb\n';
  const once = replaceBlock(readme, madeUp(), 'docs/performance/plots', ['ratio-veth.svg']);
  assert.ok(
    once.startsWith('a\n<!-- bench:begin -->\n') && once.endsWith('<!-- bench:end -->\nb\n'),
  );
  assert.ok(!once.includes('old') && once.includes('(docs/performance/plots/ratio-veth.svg)'));
  assert.equal(replaceBlock(once, madeUp(), 'docs/performance/plots', ['ratio-veth.svg']), once);
  assert.throws(() => replaceBlock('no markers', madeUp(), 'x', []), { code: 'ERR_README' });
});

test('a file is checked before it is used', () => {
  const good = JSON.stringify(madeUp());
  assert.equal(parseResult(good, 'good').planes.length, 3);
  for (const [text, why] of [
    ['{', /no JSON/],
    ['null', /schemaVersion/],
    ['{"schemaVersion":2}', /schemaVersion is 2, not 1/],
    [good.replace('"gbps":11', '"gbps":"11"'), /runs/],
    [good.replace('"link":"veth"', '"link":"wifi"'), /link/],
  ] as const) {
    assert.throws(() => parseResult(text, 'file'), why);
  }
});
