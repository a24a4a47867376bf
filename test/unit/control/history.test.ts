/** Rates from totals. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { History } from '../../../src/control/observe/history.ts';
import {
  COUNTER,
  COUNTER_BLOCK,
  DROPS_AT,
  sumBlocks,
  type Totals,
} from '../../../src/memory/counters.ts';

function totals(sent: number, delivered: number, dropped: number): Totals {
  const block = new Float64Array(COUNTER_BLOCK);
  block[COUNTER.sentPackets] = sent;
  block[COUNTER.sentBytes] = sent * 100;
  block[COUNTER.deliveredPackets] = delivered;
  block[COUNTER.deliveredBytes] = delivered * 100;
  block[DROPS_AT] = dropped;
  return sumBlocks([block]);
}

/** The calendar stands where the monotonic clock does, but for what somebody set. */
function add(history: History, totals: Totals | undefined, atMs: number, setByMs = 0): void {
  history.add(totals, atMs + setByMs, atMs);
}

test('a sample is the difference over the time that really passed', () => {
  const history = new History();
  add(history, undefined, 0);
  add(history, totals(0, 0, 0), 1000);
  assert.deepEqual(history.page().samples, [], 'one look is no rate');
  add(history, totals(1000, 10, 4), 3000);
  assert.deepEqual(history.page(), {
    intervalMs: 1000,
    samples: [
      {
        at: new Date(3000).toISOString(),
        sentPackets: 500,
        sentBytes: 50_000,
        receivedPackets: 5,
        receivedBytes: 500,
        droppedPackets: 2,
      },
    ],
  });
});

test('somebody who sets the time changes no rate, and no sample is missing', () => {
  const history = new History();
  add(history, totals(0, 0, 0), 1000);
  add(history, totals(100, 0, 0), 2000, 3_600_000);
  add(history, totals(200, 0, 0), 3000);
  assert.deepEqual(
    history.page().samples.map(({ sentPackets }) => sentPackets),
    [100, 100],
  );
});

test('counters that are away for a moment give neither a gap nor a peak', () => {
  const history = new History();
  add(history, totals(100, 0, 0), 1000);
  add(history, totals(0, 0, 0), 2000);
  add(history, totals(300, 0, 0), 3000);
  assert.deepEqual(
    history.page().samples.map(({ sentPackets }) => sentPackets),
    [100],
  );
});

test('two minutes are kept; the mean is that of the last five seconds', () => {
  const history = new History();
  for (let second = 0; second <= 200; second++)
    add(history, totals(second <= 195 ? 0 : (second - 195) * 10, 0, 0), second * 1000);
  assert.equal(history.page().samples.length, 120);
  const { seconds, sentPacketsPerSecond } = history.recent() as Record<string, number>;
  assert.deepEqual([seconds, sentPacketsPerSecond], [5, 10]);
});
