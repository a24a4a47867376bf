import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Notifier } from '../../../src/control/manager/notify.ts';
import { Watchdog, watchdogMs } from '../../../src/control/manager/watchdog.ts';
import { keepLog } from '../../support/log-lines.ts';

const HOUR_MS = 3_600_000;

test('the interval is that of this process only', () => {
  const pid = `${process.pid}`;
  assert.equal(watchdogMs({ WATCHDOG_USEC: '30000000', WATCHDOG_PID: pid }), 30_000);
  assert.equal(watchdogMs({ WATCHDOG_USEC: '30000000' }), 30_000);
  assert.equal(watchdogMs({ WATCHDOG_USEC: '30000000', WATCHDOG_PID: '1' }), undefined);
  for (const us of ['', '0', '-1', 'x', '1e6'])
    assert.equal(watchdogMs({ WATCHDOG_USEC: us }), undefined);
});

test('is fed while every heartbeat moves, and not while one stands', () => {
  let beats: number[] = [];
  let fed = 0;
  const watchdog = new Watchdog(
    HOUR_MS,
    () => beats,
    () => fed++,
  );
  const after = (...next: number[]): number => {
    const before = fed;
    beats = next;
    watchdog.check();
    return fed - before;
  };
  assert.equal(fed, 1, 'once at the beginning');
  assert.equal(after(), 1, 'no workers yet');
  assert.equal(after(5, 7), 1, 'the first look');
  assert.equal(after(6, 8), 1);
  assert.equal(after(9, 8), 0, 'the second stands');
  assert.equal(after(9, 8), 0, 'both stand');
  assert.equal(after(10, 9), 1, 'both go on');
  assert.equal(after(1, 0), 1, 'new workers count from the beginning');
  assert.equal(after(), 1, 'workers are being made anew');
  watchdog.stop();
});

test('messages: a status is sent when it changes, as one line; a deaf service manager stops nothing', () => {
  const sent: string[] = [];
  const { log, messages } = keepLog();
  const notifier = new Notifier({ notify: (state) => sent.push(state) > 0 }, log);
  for (const text of ['one', 'one', 'two\nlines', 'x'.repeat(500)]) notifier.say(text);
  notifier.extendStart(30_000);
  notifier.reloading();
  notifier.ready();
  assert.deepEqual(sent.slice(0, 2), ['STATUS=one', 'STATUS=two\\nlines']);
  assert.equal(sent[2]?.length, 'STATUS='.length + 200);
  assert.equal(sent[3], 'EXTEND_TIMEOUT_USEC=30000000');
  assert.match(sent[4] ?? '', /^RELOADING=1\nMONOTONIC_USEC=\d+$/);
  assert.equal(sent[5], 'READY=1');

  const refuse = (): never => {
    throw new Error('ECONNREFUSED');
  };
  new Notifier({ notify: refuse }, log).ready();
  assert.match(messages.at(-1) ?? '', /not told READY: ECONNREFUSED/);
});
