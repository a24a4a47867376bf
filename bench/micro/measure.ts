/** Measures one case with the package benchmark. */
import Benchmark from 'benchmark';
import { EXIT, WeftError } from '../../src/shared/errors.ts';
import { heapBytesOf } from './allocation.ts';
import type { Case, Work } from './case.ts';
import type { Entry, Settings } from './result.ts';

/** How long the heap is watched: long enough that the watching itself (a few KiB) is lost in many operations. */
const HEAP_SECONDS = 0.03;
const HEAP_CALLS_MIN = 3;
const HEAP_CALLS_MAX = 10_000;

/** Throws when the work returns anything but what it must: a wrong result is not worth a time. */
export function measure(item: Case, settings: Settings): Entry {
  const work = item.open();
  try {
    check(item, work, work.run());
    const { mean, rme, sample } = timeOf(item, work, settings);
    const heapBytes = heapBytesPerCall(work, mean);
    return makeEntry(item, mean, rme, sample.length, heapBytes);
  } finally {
    work.close?.();
  }
}

function timeOf(item: Case, work: Work, settings: Settings): Benchmark.Stats {
  let wrong: number | undefined;
  const run = (): void => {
    const result = work.run();
    if (result !== work.expected) wrong = result;
  };
  const bench = new Benchmark(item.name, run, {
    maxTime: settings.maxSeconds,
    minTime: settings.sampleSeconds,
    minSamples: settings.samplesMin,
  });
  bench.run();
  if (bench.error) throw bench.error;
  check(item, work, wrong ?? work.expected);
  return bench.stats;
}

function check(item: Case, work: Work, result: number): void {
  if (result === work.expected) return;
  throw new WeftError(
    'ERR_BENCH_RESULT',
    EXIT.failure,
    `${item.name}: the work returned ${result}, expected ${work.expected}; run "npm test" before measuring`,
  );
}

/** The smaller of two: what V8 allocates for itself, when it compiles once more, is in one of them only. */
function heapBytesPerCall(work: Work, secondsPerCall: number): number {
  const wanted = Math.ceil(HEAP_SECONDS / secondsPerCall);
  const calls = Math.min(HEAP_CALLS_MAX, Math.max(HEAP_CALLS_MIN, wanted));
  const watched = (): number =>
    heapBytesOf(() => {
      for (let i = 0; i < calls; i++) work.run();
    });
  return Math.min(watched(), watched()) / calls;
}

/** `secondsPerCall`, `heapBytes`: of one call of run, which does several operations. */
export function makeEntry(
  item: Omit<Case, 'open'>,
  secondsPerCall: number,
  errorPct: number,
  samples: number,
  heapBytes: number,
): Entry {
  const seconds = secondsPerCall / item.opsPerCall;
  return {
    name: item.name,
    opsPerSecond: rounded(1 / seconds),
    nsPerOp: rounded(seconds * 1e9),
    errorPct: rounded(errorPct, 3),
    samples,
    heapBytesPerOp: Math.max(0, Math.round(heapBytes / item.opsPerCall)),
    ...(item.bytesPerOp && { gbps: rounded((item.bytesPerOp * 8) / seconds / 1e9) }),
    ...(item.segmentsPerOp && { nsPerSegment: rounded((seconds * 1e9) / item.segmentsPerOp) }),
  };
}

/** To so many digits: what lies behind them is noise. */
function rounded(value: number, digits = 4): number {
  return Number(value.toPrecision(digits));
}
