/** What is said again and again, with a clock that the test moves. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RepeatLimiter, rarely } from '../../../src/shared/repeats.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { keepLog } from '../../support/log-lines.ts';

const FLOOD = { burst: 10, windowMs: 60_000 };

test('a flood passes ten times, then once a minute with its count', async () => {
  const clock = new FakeClock();
  const limiter = new RepeatLimiter(FLOOD, clock);
  const counts: number[] = [];
  const flood = (count: number): number =>
    Array.from({ length: count }, () => limiter.passes('a', (held) => counts.push(held))).filter(
      Boolean,
    ).length;
  assert.equal(flood(100), 10);
  assert.ok(limiter.passes('another'));
  await clock.move(60_000);
  assert.deepEqual(counts, [90]);
  assert.equal(flood(50), 0, 'the flood goes on');
  await clock.move(60_000);
  assert.deepEqual(counts, [90, 50]);
  await clock.move(60_000);
  assert.equal(flood(5), 5, 'after a minute of silence');
});

test('messages are watched in bounded memory; what makes room says what was held back', () => {
  const limiter = new RepeatLimiter({ burst: 1, windowMs: 60_000 }, new FakeClock());
  const counts: number[] = [];
  limiter.passes('a', (held) => counts.push(held));
  limiter.passes('a', (held) => counts.push(held));
  for (let i = 0; i < 5_000; i++) limiter.passes(`x${i}`);
  assert.deepEqual(counts, [1]);
  assert.ok(limiter.passes('a'), 'the one heard longest ago was forgotten');
});

test('rarely: a message with the same fields passes once in ten minutes', async () => {
  const clock = new FakeClock();
  const { log, messages } = keepLog();
  const rare = rarely(log, clock);
  const sayAll = (): void => {
    rare.warn({ key: 'a' }, 'odd');
    rare.warn({ key: 'b' }, 'odd');
    rare.error('broken');
    rare.info('broken');
  };
  sayAll();
  sayAll();
  assert.deepEqual(messages, ['odd', 'odd', 'broken', 'broken']);
  await clock.move(600_000);
  sayAll();
  assert.equal(messages.length, 8);
});
