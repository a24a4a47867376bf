/** The judge of the soak's daemons must be able to fail. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  booksProblem,
  DESCRIPTORS_MAX,
  HEAP_WARM_UP_MS,
  Life,
  type Look,
  RSS_BYTES_MAX,
  Trend,
} from '../../../lab/soak/life.ts';
import { judgeLog } from '../../../lab/soak/logs.ts';

const MINUTE_MS = 60_000;
const look = (ageMs: number, more: Partial<Look> = {}): Look => ({
  ageMs,
  rssBytes: 90 << 20,
  descriptors: { pipe: 60 },
  counters: { sentPackets: ageMs },
  ...more,
});

/** A look each second for so many minutes. */
function live(minutes: number, at: (ageMs: number) => Partial<Look>): Life {
  const life = new Life('n3, start 1');
  for (let ageMs = 0; ageMs <= minutes * MINUTE_MS; ageMs += 1_000)
    assert.deepEqual(life.add(look(ageMs, at(ageMs))), []);
  return life;
}

describe('the life of a daemon in a soak', () => {
  it('is well when memory and descriptors go up and down', () => {
    const life = live(40, (ageMs) => ({
      rssBytes: (90 << 20) + Math.round(Math.sin(ageMs / 30_000) * (10 << 20)),
      descriptors: { pipe: 60 + (Math.floor(ageMs / 1_000) % 7) },
    }));
    assert.deepEqual(life.judge(), []);
    assert.ok(Math.abs(life.figures.rssGrowthBytes ?? 99e9) < 4 << 20);
  });

  it('that starts and warms up is not taken for one that grows', () => {
    const life = live(40, (ageMs) => ({
      rssBytes: (60 << 20) + (Math.min(ageMs, HEAP_WARM_UP_MS) / HEAP_WARM_UP_MS) * (60 << 20),
    }));
    assert.deepEqual(life.judge(), []);
  });

  it('whose memory rises all the time is found', () => {
    const life = live(40, (ageMs) => ({ rssBytes: (80 << 20) + ageMs * 18 }));
    assert.match(life.judge().join(), /^n3, start 1: memory grew by 30\.9 MiB, at most 16\.0 MiB$/);
  });

  it('whose descriptors rise is found', () => {
    const life = live(20, (ageMs) => ({
      descriptors: { pipe: 55, 'tcp to 2379': 5 + Math.floor(ageMs / (2 * MINUTE_MS)) },
    }));
    assert.match(
      life.judge().join(),
      /descriptors grew by \d+, at most 4; from warm-up to now tcp to 2379 \+\d+$/,
    );
  });

  it('that is too large at once is found, however short it is', () => {
    const life = new Life('n1, start 2');
    life.add(look(0, { rssBytes: RSS_BYTES_MAX + 1, descriptors: { pipe: DESCRIPTORS_MAX + 1 } }));
    assert.equal(life.judge().length, 2);
    assert.deepEqual([life.figures.rssGrowthBytes, life.figures.descriptorGrowth], [null, null]);
  });

  it('with a counter that falls or vanishes is found', () => {
    const life = new Life('n1, start 1');
    assert.deepEqual(life.add(look(1, { counters: { a: 5, b: 0 } })), []);
    assert.match(life.add(look(2, { counters: { a: 4, b: 0 } })).join(), /a fell from 5 to 4/);
    assert.equal(life.add(look(3, { counters: { b: 1 } })).length, 1);
  });
});

describe('what a soak judges besides', () => {
  const page = (sentPackets: number, deliveredPackets: number) => ({
    counters: { outPackets: 10, sentPackets, inPackets: 7, deliveredPackets },
    drops: { outbound: { outNoRoute: 1, outTtl: 2 }, inbound: { inTtl: 0 } },
  });

  it('books are exact, or one packet too few or too many is found', () => {
    assert.equal(booksProblem(page(7, 7)), '');
    assert.match(booksProblem(page(6, 7)), /^out: 10 packets taken, 6 passed on, 3 dropped$/);
    assert.match(booksProblem(page(7, 8)), /^in: 7 packets taken/);
    const { drops } = page(7, 7);
    assert.notEqual(booksProblem({ counters: {}, drops }), '', 'no counters');
  });

  it('a stack in a log is found, and a log that grows without bound', () => {
    const line = 'info: put back the device\n';
    assert.deepEqual(judgeLog('n1', line.repeat(100), 1, 1), []);
    const stack = `error: no\nTypeError: x is not a function\n    at run (file:///a/b.js:12:3)\n`;
    assert.match(judgeLog('n1', line + stack, 1, 1).join(), /TypeError: x is not a function/);
    assert.equal(judgeLog('n1', line.repeat(100_000), 1, 1).length, 1);
  });

  it('a trend is that of the line through all points', () => {
    const trend = new Trend();
    for (const [x, y] of [
      [10, 1],
      [20, 3],
      [30, 5],
    ] as const)
      trend.add(x, y);
    assert.deepEqual([trend.span, Math.round(trend.growth)], [20, 4]);
    assert.equal(new Trend().growth, 0);
  });
});
