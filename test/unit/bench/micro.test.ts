/** The pure parts of bench, and one short measurement. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { heapBytesOf } from '../../../bench/micro/allocation.ts';
import { compareEntries, describeBaseline, pickBaseline } from '../../../bench/micro/compare.ts';
import { makeEntry, measure } from '../../../bench/micro/measure.ts';
import { parseBenchOptions, settingsOf } from '../../../bench/micro/options.ts';
import { hostOf, hostsOf, makePeers, makeTable } from '../../../bench/micro/peers.ts';
import { pickPeers } from '../../../bench/micro/random.ts';
import type { Entry, MicroResult } from '../../../bench/micro/result.ts';
import { fileNameOf, loadResults, saveResult } from '../../../bench/micro/saved.ts';
import { allCases } from '../../../bench/micro/subjects/all.ts';
import { renderTable } from '../../../bench/micro/table.ts';
import { loadAddon } from '../../../src/memory/addon.ts';
import { WeftError } from '../../../src/shared/errors.ts';

const MACHINE = { cpu: 'CPU A', cores: 2, kernel: '6.1', node: 'v20.20.0' };

function entry(name: string, nsPerOp: number): Entry {
  const opsPerSecond = 1e9 / nsPerOp;
  return { name, opsPerSecond, nsPerOp, errorPct: 1.25, samples: 9, heapBytesPerOp: 0 };
}

function result(change: Partial<MicroResult> = {}): MicroResult {
  return {
    schemaVersion: 1,
    kind: 'micro',
    startedAt: '2026-03-04T05:06:07.000Z',
    weft: { version: '0.1.0', commit: 'abc', dirty: false },
    machine: MACHINE,
    settings: settingsOf({ quick: false }),
    entries: [entry('a', 100)],
    ...change,
  };
}

function isWeftError(exitCode: number, part: string): (error: unknown) => boolean {
  return (error) =>
    error instanceof WeftError && error.exitCode === exitCode && error.message.includes(part);
}

describe('options', () => {
  it('have defaults', () => {
    assert.deepEqual(parseBenchOptions([]), {
      filter: '',
      quick: false,
      json: false,
      save: false,
      compare: false,
      help: false,
    });
  });

  it('are read in any order', () => {
    const options = parseBenchOptions(['--quick', 'routes', '--json', '--compare']);
    assert.equal(options.filter, 'routes');
    assert.ok(options.quick && options.json && options.compare && !options.save);
    assert.equal(parseBenchOptions(['--save']).save, true);
  });

  const bad: [string, string[]][] = [
    ['--nonsense', ['--nonsense']],
    ['two', ['one', 'two']],
    ['--save', ['--save', 'routes']],
    ['--quick', ['--quick=yes']],
  ];
  for (const [named, args] of bad) {
    it(`refuse ${args.join(' ')} with exit code 2 and name ${named}`, () => {
      assert.throws(() => parseBenchOptions(args), isWeftError(2, named));
    });
  }

  it('make quick runs shorter', () => {
    assert.ok(settingsOf({ quick: true }).maxSeconds < settingsOf({ quick: false }).maxSeconds);
  });
});

describe('comparison', () => {
  it('marks what takes more than 20 % longer, and leaves out what only one side has', () => {
    const now = [entry('same', 100), entry('edge', 120), entry('over', 121), entry('new', 1)];
    const then = [entry('over', 100), entry('edge', 100), entry('same', 100), entry('gone', 1)];
    assert.deepEqual(compareEntries(now, then), [
      { name: 'same', ratio: 1, isSlower: false, isUnsure: true },
      { name: 'edge', ratio: 1.2, isSlower: false, isUnsure: false },
      { name: 'over', ratio: 1.21, isSlower: true, isUnsure: false },
    ]);
  });

  it('is unsure where the error intervals overlap, and the table says so', () => {
    const now = [{ ...entry('a', 150), errorPct: 30 }];
    const [comparison] = compareEntries(now, [{ ...entry('a', 100), errorPct: 10 }]);
    assert.deepEqual(comparison, { name: 'a', ratio: 1.5, isSlower: true, isUnsure: true });
    assert.match(renderTable(now, compareEntries(now, [entry('a', 100)])), / slower$/m);
    assert.match(renderTable(now, comparison ? [comparison] : []), / slower\?$/m);
  });

  it('takes the newest result of the same CPU model', () => {
    const other = result({ machine: { ...MACHINE, cpu: 'CPU B' } });
    const newer = result({ weft: { version: '0.2.0', commit: 'b', dirty: false } });
    assert.equal(pickBaseline([other, newer, result()], MACHINE), newer);
    assert.equal(pickBaseline([other], MACHINE), undefined);
    const large = result({ machine: { ...MACHINE, cores: 64 } });
    assert.equal(pickBaseline([large, newer], MACHINE), newer);
    assert.equal(pickBaseline([large], MACHINE), large);
    assert.equal(pickBaseline([], MACHINE), undefined);
  });

  it('says what it compares with and what is different there', () => {
    const now = { machine: { ...MACHINE, node: 'v22.1.0' }, settings: settingsOf({ quick: true }) };
    assert.equal(
      describeBaseline([result()], now),
      'ratio: time per operation over that of 0.1.0, 2026-03-04 (node v20.20.0 then, v22.1.0 now; quick now)',
    );
    assert.doesNotMatch(describeBaseline([result()], result()), /\(/);
    assert.equal(describeBaseline([], now), '');
  });

  it('says that another CPU model is not compared', () => {
    const note = describeBaseline([result({ machine: { ...MACHINE, cpu: 'CPU B' } })], result());
    assert.match(note, /^not compared: .*CPU B.*CPU A/);
  });
});

describe('table', () => {
  it('aligns numbers to the right and shows no ratio without a comparison', () => {
    const rows = [{ ...entry('long name', 12.34), gbps: 1.5, nsPerSegment: 7 }, entry('b', 2_000)];
    assert.equal(
      renderTable(rows, []),
      [
        'name            ops/s  ns/op  ± %  samples  heap B/op',
        '---------  ----------  -----  ---  -------  ---------  -------------------------',
        'long name  81,037,277   12.3  1.3        9          0  7 ns/segment, 1.50 Gbit/s',
        'b             500,000  2,000  1.3        9          0',
      ].join('\n'),
    );
  });

  it('marks slower cases and those that are new', () => {
    const comparisons = [{ name: 'a', ratio: 1.5, isSlower: true, isUnsure: false }];
    const lines = renderTable([entry('a', 10), entry('b', 10)], comparisons).split('\n');
    assert.match(lines[0] as string, /ratio$/);
    assert.match(lines[2] as string, / 1\.50 {2}slower$/);
    assert.match(lines[3] as string, / -$/);
  });
});

describe('saved results', () => {
  it('have version and class of machine in their name', () => {
    const machine = { ...MACHINE, cpu: 'Intel(R) Xeon(R) ../CPU @ 2.20GHz', cores: 8 };
    const name = 'micro-1.2.3-rc.1-intel-r-xeon-r-cpu-2-20ghz-8.json';
    assert.equal(fileNameOf('1.2.3-rc.1', machine), name);
    for (const version of ['', '../1', '1/2', '.hidden']) {
      assert.throws(() => fileNameOf(version, MACHINE), isWeftError(1, 'package.json'));
    }
  });

  it('of two classes of machine stand beside each other', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'weft-bench-'));
    try {
      saveResult(folder, result());
      saveResult(folder, result({ machine: { ...MACHINE, cores: 64 } }));
      assert.equal(loadResults(folder).length, 2);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('come back newest first; other files are left alone, broken ones are named', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'weft-bench-'));
    try {
      assert.deepEqual(loadResults(path.join(folder, 'none')), []);
      const older = result();
      const newer = result({
        startedAt: '2026-05-01T00:00:00.000Z',
        weft: { version: '0.0.9', commit: 'b', dirty: false },
      });
      assert.equal(saveResult(folder, older), path.join(folder, 'micro-0.1.0-cpu-a-2.json'));
      saveResult(folder, newer);
      writeFileSync(path.join(folder, 'net-0.1.0.json'), '{}');
      assert.deepEqual(loadResults(folder), [newer, older]);
      for (const text of ['{', '{}', '{"kind":"micro","schemaVersion":2}']) {
        writeFileSync(path.join(folder, 'micro-9.json'), text);
        assert.throws(() => loadResults(folder), isWeftError(1, 'micro-9.json'));
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('cases', () => {
  it('have names of their own and leave the checksum implementation as it was', () => {
    const usual = loadAddon().checksumName();
    const names = allCases().map(({ name }) => name);
    assert.equal(new Set(names).size, names.length);
    assert.equal(loadAddon().checksumName(), usual);
  });

  it('ask for peers that the table has', () => {
    for (const family of [4, 6] as const) {
      const table = makeTable(makePeers(300, family));
      assert.equal(table.lookup4(hostOf(299, 4, 7)[3]), family === 4 ? 299 : -1);
      assert.equal(table.lookup6(...hostOf(299, 6, 7)), family === 6 ? 299 : -1);
    }
    assert.equal(hostsOf(Int32Array.of(1, 2), 4)[7], (10 << 24) | (2 << 8) | 2);
  });

  it('pick every peer evenly or a few most of the time, the same in every run', () => {
    const share = (hits: 'uniform' | 'skewed'): number => {
      const picked = pickPeers(1_000, 65_536, hits);
      assert.deepEqual(pickPeers(1_000, 65_536, hits), picked);
      const counts = new Int32Array(1_000);
      for (const peer of picked) counts[peer] = (counts[peer] as number) + 1;
      const busiest = counts.sort((a, b) => b - a).subarray(0, 100);
      return busiest.reduce((a, b) => a + b) / picked.length;
    };
    assert.ok(share('uniform') < 0.2);
    assert.ok(share('skewed') > 0.6);
  });
});

describe('measurement', () => {
  const settings = { quick: true, maxSeconds: 0.01, sampleSeconds: 0.001, samplesMin: 3 };

  it('turns the time of a call into that of an operation', () => {
    const item = { name: 'a', opsPerCall: 10, bytesPerOp: 125, segmentsPerOp: 4 };
    assert.deepEqual(makeEntry(item, 10e-6, 1.2345, 7, 164), {
      name: 'a',
      opsPerSecond: 1_000_000,
      nsPerOp: 1_000,
      errorPct: 1.23,
      samples: 7,
      heapBytesPerOp: 16,
      gbps: 1,
      nsPerSegment: 250,
    });
  });

  it('runs the work and closes it', () => {
    let runs = 0;
    let closes = 0;
    const run = (): number => {
      runs++;
      return 5;
    };
    const close = (): void => {
      closes++;
    };
    const measured = measure(
      { name: 'a', opsPerCall: 1, open: () => ({ run, expected: 5, close }) },
      settings,
    );
    assert.ok(measured.samples >= 3 && measured.nsPerOp > 0);
    assert.ok(runs > 3);
    assert.equal(closes, 1);
  });

  it('refuses a wrong result, also when it comes late, and closes the work', () => {
    for (const wrongAt of [1, 20]) {
      let runs = 0;
      let closes = 0;
      const run = (): number => (++runs === wrongAt ? 6 : 5);
      const close = (): void => {
        closes++;
      };
      const item = { name: 'case', opsPerCall: 1, open: () => ({ run, expected: 5, close }) };
      assert.throws(() => measure(item, settings), isWeftError(1, 'case: the work returned 6'));
      assert.equal(closes, 1);
    }
  });

  it('passes on what the work throws', () => {
    let runs = 0;
    const run = (): number => {
      if (++runs > 5) throw new Error('broken');
      return 5;
    };
    const item = { name: 'case', opsPerCall: 1, open: () => ({ run, expected: 5 }) };
    assert.throws(() => measure(item, settings), /broken/);
  });

  it('sees what is allocated, although it is collected meanwhile', () => {
    const kept: number[][] = [];
    const bytes = heapBytesOf(() => {
      for (let i = 0; i < 200_000; i++) kept[i % 10] = new Array(50).fill(i);
    });
    assert.ok(bytes > 200_000 * 400, `${bytes}`);
    assert.ok(bytes < 200_000 * 1_000, `${bytes}`);
  });
});
