/** Looks after news: at once after quiet, together for a burst, ever rarer while news go on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GAP_MS_MAX, Pacer } from '../../../src/control/pacer.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';

function setUp() {
  const clock = new FakeClock();
  const looks: number[] = [];
  const pacer = new Pacer(clock, async () => void looks.push(clock.nowMs()));
  return { clock, looks, pacer };
}

test('a burst of news is one look, soon', async () => {
  const { clock, looks, pacer } = setUp();
  for (let i = 0; i < 100; i++) pacer.hear();
  await clock.move(100);
  assert.equal(looks.length, 1);
  await clock.move(GAP_MS_MAX * 3);
  assert.equal(looks.length, 1, 'nothing more without news');
});

test('news that never end are looked at less and less, at last as rarely as without news', async () => {
  const { clock, looks, pacer } = setUp();
  for (let ms = 0; ms < 120_000; ms += 10) {
    pacer.hear();
    await clock.move(10);
  }
  assert.ok(looks.length > 20 && looks.length < 50, `${looks.length} looks in two minutes`);
  const [last = 0, before = 0] = looks.slice(-2).reverse();
  assert.ok(last - before >= GAP_MS_MAX, `${last - before} ms between the last two`);
  await clock.move(GAP_MS_MAX * 2);
  const quiet = looks.length;
  pacer.hear();
  await clock.move(20);
  assert.equal(looks.length, quiet + 1, 'after quiet at once again');
});

test('a calendar that is set back makes nobody wait', async () => {
  const { clock, looks, pacer } = setUp();
  pacer.hear();
  await clock.move(20);
  clock.setCalendar(-3_600_000);
  pacer.hear();
  await clock.move(100);
  assert.equal(looks.length, 2);
});

test('what is heard during a look is followed by another one', async () => {
  const clock = new FakeClock();
  let end: () => void = () => undefined;
  let looks = 0;
  const pacer = new Pacer(clock, () => {
    looks++;
    return new Promise((resolve) => {
      end = resolve;
    });
  });
  pacer.hear();
  await clock.move(20);
  pacer.hear();
  await clock.move(1_000);
  assert.equal(looks, 1, 'the first is still looking');
  end();
  await settle();
  await clock.move(1_000);
  assert.equal(looks, 2);
});

test('after its end it looks no more', async () => {
  const { clock, looks, pacer } = setUp();
  pacer.hear();
  pacer.stop();
  await clock.move(1_000);
  assert.deepEqual(looks, []);
});
