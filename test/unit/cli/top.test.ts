/** weft top: what is derived from polls, what a frame looks like, what keys mean. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Sample } from '../../../src/api/history.ts';
import { renderLine } from '../../../src/cli/commands/top.ts';
import type { PeerFacts, Status } from '../../../src/cli/pages.ts';
import { widthOf } from '../../../src/cli/render.ts';
import { chooseStyle, PLAIN } from '../../../src/cli/style.ts';
import { areaGraph, roundUp } from '../../../src/cli/top/graph.ts';
import { type Poll, TopModel, type View } from '../../../src/cli/top/model.ts';
import { renderTop } from '../../../src/cli/top/render.ts';
import { keysOf } from '../../../src/cli/top/terminal.ts';

const START = Date.parse('2026-01-01T00:00:00.000Z');
const at = (second: number): string => new Date(START + second * 1000).toISOString();
const sample = (second: number, sentBytes = 1000): Sample => ({
  at: at(second),
  sentPackets: 10,
  sentBytes,
  receivedPackets: 1,
  receivedBytes: 100,
  droppedPackets: 0,
});
const status: Status = {
  healthy: true,
  notReady: null,
  version: '1.2.3',
  startedAt: at(0),
  node: { interface: 'eth0', publicIp: '192.0.2.1', publicIpv6: null },
  backend: 'vxlan',
  devices: [{ device: 'flannel.1', mtu: 1450 }],
  lease: { key: '10.5.1.0-24', state: 'held', expiresAt: null },
  store: { name: 'file:/s', ok: true, message: '', lastEventAt: at(0) },
  firewall: null,
  peers: { total: 1, held: 0 },
  workers: [{ state: 'running', restarts: 0 }],
  drops: { outbound: { outNoRoute: 5 }, inbound: { inTtl: 0 } },
};
const peer = (net: number, changes: Partial<PeerFacts> = {}): PeerFacts => ({
  key: `10.5.${net}.0-24`,
  subnet: `10.5.${net}.0/24`,
  publicIp: `192.0.2.${net}`,
  ...changes,
});
const poll = (second: number, changes: Partial<Poll> = {}): Poll => ({
  atMs: START + second * 1000,
  status,
  samples: [sample(second)],
  peers: [],
  ...changes,
});
function shown(model: TopModel): View {
  const view = model.view();
  assert.ok(view);
  return view;
}

test('rates come from two polls; what the daemon does not tell is "-"', () => {
  const model = new TopModel();
  assert.equal(model.view(), undefined);
  const counted = (sentBytes: number): PeerFacts =>
    peer(3, { sentBytes, receivedBytes: 0, rttMs: 0.5 });
  const waited = (waitNs: number): Status => ({
    ...status,
    workers: [{ state: 'running', restarts: 0, waitNs }],
  });
  model.add(poll(10, { peers: [peer(2), counted(0)], status: waited(0) }));
  const drops = { outbound: { outNoRoute: 25 }, inbound: {} };
  model.add(poll(12, { peers: [peer(2), counted(4000)], status: { ...waited(1.5e9), drops } }));
  const { peers, workers, drops: rates } = shown(model);
  assert.deepEqual(
    peers.map(({ subnet, sent, rttMs }) => [subnet, sent, rttMs]),
    [
      ['10.5.3.0/24', 2000, 0.5],
      ['10.5.2.0/24', null, null],
    ],
  );
  assert.equal(workers[0]?.busy, 0.25);
  assert.deepEqual(rates, [{ name: 'outNoRoute', total: 25, perSecond: 10 }]);
  assert.match(
    renderTop(shown(model), { columns: 100, rows: 30 }, PLAIN),
    /10\.5\.2\.0\/24 +\S+ +- +- +- +-\n/,
  );
});

test('a daemon that was restarted gives no negative rates', () => {
  const model = new TopModel();
  model.add(poll(1, { peers: [peer(2, { sentBytes: 5000, receivedBytes: 0 })] }));
  model.add(poll(2, { peers: [peer(2, { sentBytes: 10, receivedBytes: 0 })] }));
  assert.equal(shown(model).peers[0]?.sent, 0);
});

test('paused: the picture stays, history can be scrolled and is complete afterwards', () => {
  const model = new TopModel();
  for (let second = 1; second <= 30; second++) model.add(poll(second));
  model.scroll(10);
  assert.equal(shown(model).scrolled, 0, 'only while paused');
  model.togglePause();
  model.add(poll(31));
  assert.equal(shown(model).samples.at(-1)?.at, at(30));
  model.scroll(10);
  assert.equal(shown(model).samples.at(-1)?.at, at(20));
  model.scroll(1000);
  assert.equal(shown(model).samples.length, 1);
  model.scroll(-1000);
  assert.equal(shown(model).samples.at(-1)?.at, at(30));
  model.togglePause();
  assert.deepEqual([shown(model).samples.length, shown(model).isPaused], [31, false]);
});

test('the fast path has a line where it is on', () => {
  const model = new TopModel();
  const fastPath = { on: true, why: '', peers: 2, egress: [], counters: { sentBytes: 930 } };
  const counters = { sentBytes: 1000, deliveredBytes: 0 };
  model.add(poll(1, { status: { ...status, fastPath, counters } }));
  const size = { columns: 120, rows: 30 };
  const line = /^fast path on, 2 peers; 93 % of the bytes sent and 0 % of those received took it/m;
  assert.match(renderTop(shown(model), size, PLAIN), line);
  model.add(poll(2, { status: { ...status, fastPath: { ...fastPath, on: false }, counters } }));
  assert.doesNotMatch(renderTop(shown(model), size, PLAIN), /fast path/);
});

test('samples that were seen before are not taken twice', () => {
  const model = new TopModel();
  model.add(poll(3, { samples: [1, 2, 3].map((second) => sample(second)) }));
  model.add(poll(4, { samples: [2, 3, 4].map((second) => sample(second)) }));
  assert.deepEqual(
    shown(model).samples.map((each) => each.at),
    [1, 2, 3, 4].map(at),
  );
});

test('peers are sorted by rate, subnet or round trip, in turn', () => {
  const model = new TopModel();
  const peers = [peer(10, { rttMs: 9 }), peer(9, { rttMs: 1 })];
  model.add(poll(1, { peers }));
  const order = (): string[] => shown(model).peers.map(({ subnet }) => subnet);
  assert.deepEqual(order(), ['10.5.9.0/24', '10.5.10.0/24']);
  model.nextSort();
  assert.equal(shown(model).sort, 'subnet');
  model.nextSort();
  assert.deepEqual(order(), ['10.5.10.0/24', '10.5.9.0/24']);
  model.nextSort();
  assert.equal(shown(model).sort, 'rate');
});

test('a frame fills the screen exactly, whatever its size', () => {
  const model = new TopModel();
  const peers = Array.from({ length: 40 }, (_, i) => peer(i + 2));
  model.add(poll(1, { peers, samples: Array.from({ length: 90 }, (_, i) => sample(i, i * 1000)) }));
  const sick: Status = {
    ...status,
    health: [
      {
        code: 'x',
        severity: 'critical',
        title: 'Something',
        text: 'is very much amiss with this node '.repeat(5),
        advice: 'mend it',
        impactsConnectivity: true,
        since: at(0),
      },
    ],
  };
  model.add(poll(2, { peers, status: sick }));
  for (const columns of [20, 80, 200]) {
    for (const rows of [2, 10, 24, 60]) {
      const lines = renderTop(shown(model), { columns, rows }, chooseStyle('always', {})).split(
        '\n',
      );
      assert.equal(lines.length, rows, `${columns}x${rows}`);
      for (const line of lines) assert.ok(widthOf(line) <= columns, `${columns}x${rows}: ${line}`);
    }
  }
  const frame = renderTop(shown(model), { columns: 100, rows: 40 }, PLAIN);
  assert.match(frame, /^weft top {2}! healthy .* LIVE\n✗ Something: is very much/);
  assert.match(frame, /\nand \d+ more\n/);
  assert.match(frame, /space pause {3}s sort {3}q quit$/);
});

test('graphs: the largest value reaches the top, a little is seen, nothing is a base line', () => {
  assert.deepEqual(areaGraph([0, 0.001, 5, 10], 4, 2, 10), ['   █', '▁▂██']);
  assert.deepEqual(areaGraph([10], 3, 1, 10), ['  █']);
  assert.deepEqual([0, 0.3, 7, 10, 1234].map(roundUp), [0, 0.5, 10, 10, 2000]);
});

test('keys: those that mean something, also in one piece, and no part of other sequences', () => {
  assert.deepEqual(keysOf(' s\u001b[D\u001bOCq\u0003'), [
    'space',
    'sort',
    'left',
    'right',
    'quit',
    'quit',
  ]);
  assert.deepEqual(keysOf('x\u001b[1;5Dé\u001b[3~'), []);
});

test('without a terminal: one line', () => {
  assert.equal(
    renderLine(status, sample(1)),
    `${at(1)}  healthy  1 peer  sent 10 packets/s 8.00 kbit/s  received 1 packet/s 800 bit/s  dropped 0 packets/s`,
  );
  assert.match(renderLine({ ...status, healthy: false }, undefined), /^NOT-HEALTHY .*no traffic/);
});
