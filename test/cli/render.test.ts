/** What `weft` prints, and its exit codes. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { renderStatus } from '../../src/cli/commands/status.ts';
import { renderAge, renderBytes, renderTable } from '../../src/cli/render.ts';
import { chooseStyle, PLAIN } from '../../src/cli/style.ts';
import { projectRoot } from '../../src/shared/addon.ts';
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

const status = {
  healthy: false,
  notReady: null,
  firewall: { ok: true, problem: '' },
  version: '1.2.3',
  startedAt: '2026-01-01T00:00:00.000Z',
  node: { interface: 'eth0', publicIp: '192.0.2.1', publicIpv6: null },
  backend: 'vxlan',
  devices: [{ device: 'flannel.1', mtu: 1450 }],
  lease: { key: '10.5.1.0-24', state: 'held', expiresAt: null },
  store: { name: 'file:/s', ok: false, message: 'gone', lastEventAt: '2026-01-01T00:00:00.000Z' },
  peers: { total: 3, held: 2 },
  offloads: ['batch'],
  workers: [{ state: 'stuck', restarts: 1 }],
  counters: { sentPackets: 5, sentBytes: 2048, deliveredPackets: 0, deliveredBytes: 0 },
  drops: { outbound: { outNoRoute: 4 }, inbound: { inTtl: 9, inEcn: 0 } },
};

test('status says what is wrong, and the drops with the most frequent first', () => {
  const text = renderStatus(status, PLAIN, Date.parse('2026-01-01T00:01:00.000Z'));
  assert.match(text, /^NOT HEALTHY {3}weft 1\.2\.3, up 60s\n/);
  assert.match(text, /AWAY: gone, last change 60s ago/);
  assert.match(text, /workers {3}stuck \(1 restarts\)/);
  assert.match(text, /sent {6}5 packets, 2\.0 KiB/);
  assert.match(text, /9 inTtl: .*\ndropped {3}4 outNoRoute: /);
  assert.ok(!text.includes('inEcn'));
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
  assert.equal(weft('nonsense').status, 64);
  assert.equal(weft('status', '--nonsense').status, 64);
  assert.equal(weft().status, 64);
});
