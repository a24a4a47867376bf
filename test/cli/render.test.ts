/** What `weft` prints, and its exit codes. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { renderDrops } from '../../src/cli/commands/drops.ts';
import { dumpPeers, renderPeers } from '../../src/cli/commands/peers.ts';
import {
  clipLine,
  renderAge,
  renderBits,
  renderBytes,
  renderCount,
  renderTable,
  sparkline,
  widthOf,
  wrapText,
} from '../../src/cli/render.ts';
import { chooseStyle, PLAIN } from '../../src/cli/style.ts';
import { projectRoot } from '../../src/shared/addon.ts';
import { DROP_NAMES } from '../../src/shared/drops.ts';
import { programVersion } from '../../src/shared/version.ts';

test('tables are aligned and have no blanks at the end', () => {
  assert.equal(
    renderTable(
      ['A', 'LONG'],
      [
        ['wide cell', 'x'],
        ['y', ''],
      ],
    ),
    'A          LONG\nwide cell  x\ny',
  );
});

test('colours: for a terminal, or when asked; they take no room in a table', () => {
  const red = '\u001b[31mx\u001b[39m';
  const terminal = { isTTY: true };
  assert.equal(chooseStyle('auto', terminal, {}).bad('x'), red);
  assert.equal(chooseStyle('auto', {}, {}).bad('x'), 'x');
  assert.equal(chooseStyle('auto', terminal, { NO_COLOR: '1' }).bad('x'), 'x');
  assert.equal(chooseStyle('auto', terminal, { TERM: 'dumb' }).bad('x'), 'x');
  assert.equal(chooseStyle('always', {}, { NO_COLOR: '1' }).bad('x'), red);
  assert.equal(renderTable(['A', 'B'], [[red, 'y']]), `A  B\n${red}  y`);
});

test('amounts and ages', () => {
  assert.deepEqual([0, 1023, 1024, 1.5 * 2 ** 30].map(renderBytes), [
    '0 B',
    '1023 B',
    '1.0 KiB',
    '1.5 GiB',
  ]);
  assert.deepEqual([900, 119_000, 600_000, 86_400_000].map(renderAge), [
    '1s',
    '119s',
    '10min',
    '24h',
  ]);
});

test('rates have three digits and a unit', () => {
  assert.deepEqual([0, 999, 1234, 45_600, 1.2e6, 3e9].map(renderCount), [
    '0',
    '999',
    '1.23k',
    '45.6k',
    '1.20M',
    '3.00G',
  ]);
  assert.deepEqual([10, 125_000].map(renderBits), ['80 bit/s', '1.00 Mbit/s']);
});

test('lines are wrapped at blanks, and clipped with their colours closed', () => {
  assert.deepEqual(wrapText('one two three', 8), ['one two', 'three']);
  assert.deepEqual(wrapText('unbreakable x', 4), ['unbreakable', 'x']);
  const clipped = clipLine('\u001b[31mabcdef\u001b[39m', 4);
  assert.equal(clipped, '\u001b[31mabc\u001b[39m…');
  assert.equal(widthOf(clipped), 4);
});

test('sparklines: the largest value is highest, nothing is lowest, the newest is last', () => {
  assert.equal(sparkline([0, 1, 4, 8], 4), '▁▂▅█');
  assert.equal(sparkline([5, 1, 8], 2), '▂█');
  assert.equal(sparkline([3], 3), '  █');
  assert.equal(sparkline([0, 0], 2), '▁▁');
});
const MAC = '02:00:00:00:00:03';
const unheard = { lastHeardAt: null, sentPackets: 0, sentBytes: 0 };
const quiet = {
  ...{ key: '10.5.2.0-24', family: 4 as const, subnet: '10.5.2.0/24' },
  ...{ publicIp: '192.0.2.2', port: 8285, mac: null },
  ...{ ...unheard, receivedPackets: 0, receivedBytes: 0 },
};
const busy = {
  ...{ key: '10.5.3.0-24', family: 4 as const, subnet: '10.5.3.0/24' },
  ...{ publicIp: '192.0.2.3', port: 8285, mac: MAC, lastHeardAt: '2026-01-01T00:00:00.000Z' },
  ...{ sentPackets: 3, sentBytes: 2048, receivedPackets: 1, receivedBytes: 10 },
  ...{ rttMs: 0.25, lossRatio: 0.5 },
};

test('peers: a table, or a sentence when there are none', () => {
  assert.match(renderPeers({ peers: [] }, 0), /^no peers/);
  const text = renderPeers({ peers: [quiet, busy] }, Date.parse('2026-01-01T00:00:07Z'));
  assert.deepEqual(
    text.split('\n').map((line) => line.split(/ {2,}/)),
    [
      ['SUBNET', 'NODE', 'VTEP-MAC', 'HEARD', 'SENT', 'RECEIVED', 'RTT', 'LOSS'],
      ['10.5.2.0/24', '192.0.2.2', '-', '-', '0 B', '0 B', '-', '-'],
      ['10.5.3.0/24', '192.0.2.3', MAC, '7s ago', '2.0 KiB', '10 B', '0.25 ms', '50%'],
    ],
  );
});

test('peers for scripts: tabs, one line each, nothing rounded', () => {
  assert.equal(
    dumpPeers({ peers: [quiet, busy] }),
    `10.5.2.0-24\t4\t10.5.2.0/24\t192.0.2.2\t8285\t-\t-\t0\t0\t0\t0\t-\t-
10.5.3.0-24\t4\t10.5.3.0/24\t192.0.2.3\t8285\t${MAC}\t1767225600\t3\t2048\t1\t10\t0.25\t0.5`,
  );
});

test('drops: only what there is, what is new since the last look, advice', () => {
  const page = (count: number) => ({
    workers: [
      { worker: 0, outbound: { outNoRoute: 4 }, inbound: { inTtl: 0 } },
      { worker: 1, outbound: { outNoRoute: count }, inbound: { inTtl: 0 } },
    ],
    samples: [],
    nextSequence: 1,
  });
  const first = renderDrops(page(2), undefined, false, PLAIN).split('\n');
  assert.match(first[0] as string, /^REASON +WORKER 0 +WORKER 1 +TOTAL +WHAT/);
  assert.match(first[1] as string, /^outNoRoute +4 +2 +6 +no node leases the destination: /);
  assert.equal(first.length, 2);
  const next = renderDrops(page(5), page(2), false, PLAIN).split('\n');
  assert.match(next[0] as string, /TOTAL +NEW +WHAT/);
  assert.match(next[1] as string, / 9 +\+3 +no node/);
  const all = renderDrops(page(2), undefined, true, PLAIN).split('\n');
  assert.equal(all.length, 1 + DROP_NAMES.length);
  const none = { ...page(0), workers: [{ worker: 0, outbound: {}, inbound: {} }] };
  assert.equal(renderDrops(none, undefined, false, PLAIN), 'nothing was dropped');
  assert.match(renderDrops({ ...none, workers: [] }, undefined, false, PLAIN), /kernel carries/);
});

const weft = (...args: string[]) =>
  spawnSync(path.join(projectRoot(), 'bin/weft'), args, { encoding: 'utf8' });

test('exit codes: 0 help and version, 2 not reachable, 64 usage', () => {
  assert.equal(weft('--help').status, 0);
  const version = weft('--version');
  assert.deepEqual([version.status, version.stdout], [0, `${programVersion()}\n`]);
  const away = weft('status', '--admin-socket=/nonexistent/weft.sock');
  assert.equal(away.status, 2);
  assert.match(away.stderr, /\/nonexistent\/weft\.sock/);
  const nonsense = weft('statsu');
  assert.equal(nonsense.status, 64);
  assert.match(nonsense.stderr, /Did you mean status\?/);
  assert.equal(weft('status', '--nonsense').status, 64);
  assert.equal(weft().status, 64);
});
