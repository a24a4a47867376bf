/** Where the processor time of a run went: what is read from /proc and control groups, and when a run counts as disturbed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { busyWarning, isDisturbed } from '../../../bench/net/busy.ts';
import { countsInterruptsApart, loadOfMinute, machineSeconds } from '../../../bench/net/cpu.ts';
import { unifiedRoot, usageSeconds } from '../../../bench/net/cpu-group.ts';
import { type ProcessTime, parseStat, secondsBetween } from '../../../bench/net/processes.ts';
import type { Run } from '../../../bench/net/result.ts';

test('busy time leaves out idle, iowait and steal; steal and interrupts are told apart', () => {
  const text = 'cpu  100 20 300 4000 500 60 70 800 0 0\ncpu0 1 2 3\n';
  assert.deepEqual(machineSeconds(text), { busy: 5.5, interrupts: 1.3, steal: 8 });
  assert.equal(loadOfMinute('0.25 1.00 2.00 1/100 4711\n'), 0.25);
  assert.ok(countsInterruptsApart('CONFIG_A=y\nCONFIG_IRQ_TIME_ACCOUNTING=y\n'));
  assert.ok(!countsInterruptsApart('# CONFIG_IRQ_TIME_ACCOUNTING is not set\n'));
});

test('a process is read whatever its name holds', () => {
  const behind = (flags: number): string =>
    `S 7 1 1 0 -1 ${flags} 0 0 0 0 100 50 30 20 20 0 1 0 5 0 0`;
  assert.deepEqual(parseStat(`42 (a) b) ${behind(0x400000)}`), {
    pid: 42,
    parent: 7,
    isKernelThread: false,
    seconds: 2,
  });
  assert.ok(parseStat(`3 (ksoftirqd/0) ${behind(0x200040)}`).isKernelThread);
});

const time = (pid: number, parent: number, seconds: number): ProcessTime => ({
  pid,
  parent,
  isKernelThread: false,
  seconds,
});
const snapshotOf = (...all: ProcessTime[]) => new Map(all.map((each) => [each.pid, each]));

test('processes count by what they used in between, those that began or ended there too', () => {
  const before = snapshotOf(time(1, 0, 100), time(2, 1, 10), time(3, 1, 5));
  // 3 ended: its parent now has its 5 s and the 2 s that it used since, besides 1 s of its own. 4 is new.
  const after = snapshotOf(time(1, 0, 108), time(2, 1, 14), time(4, 1, 3));
  assert.equal(
    secondsBetween(before, after, () => true),
    1 + 2 + 4 + 3,
  );
  assert.equal(
    secondsBetween(before, after, ({ pid }) => pid === 2),
    4,
  );
  assert.equal(
    secondsBetween(after, before, ({ pid }) => pid === 2),
    0,
  );
  // A whole branch ended: the shell at its top has all of it, 50 s of which are of before.
  const branch = snapshotOf(time(1, 0, 1), time(5, 1, 0), time(6, 5, 50));
  assert.equal(
    secondsBetween(branch, snapshotOf(time(1, 0, 53)), () => true),
    2,
  );
});

test('the unified hierarchy is found alone and beside the others', () => {
  const old = 'cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n';
  const both = `${old}cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n`;
  assert.equal(unifiedRoot(both), '/sys/fs/cgroup/unified');
  assert.equal(unifiedRoot(old), undefined);
  assert.equal(usageSeconds('usage_usec 2500000\nuser_usec 1\n'), 2.5);
});

test('a run is disturbed by programs and the hypervisor together, and the warning says how many were', () => {
  const run = (foreignPct: number, stealPct: number): Run => ({
    link: 'veth',
    work: 'tcp1',
    plane: 'weft',
    round: 1,
    startedAt: '2026-01-01T00:00:00Z',
    conditions: { load1: 0.5, stealPct, foreignPct },
  });
  assert.ok(isDisturbed(run(6, 5)) && !isDisturbed(run(6, 3)) && !isDisturbed({}));
  assert.equal(
    busyWarning({ runs: [run(6, 3), { ...run(99, 0), conditions: undefined }] }),
    undefined,
  );
  assert.match(
    busyWarning({ runs: [run(1, 0), run(40, 2), run(11, 0)] }) ?? '',
    /in 2 of 3 runs .*at most 40 % by programs, 2 % by the hypervisor; load 0.5/,
  );
});
