/** Which states of the daemon give which warnings, and that blips give none. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import {
  breaksVerdict,
  type HealthFacts,
  type SilentFact,
  WarningBoard,
  warningsOf,
} from '../../../src/control/observe/health-warnings.ts';
import { projectRoot } from '../../../src/shared/root.ts';

const MINUTE_MS = 60_000;
const NOW = 1_000_000_000_000;

const lease = { key: '10.5.1.0-24', state: 'held', expiresAtMs: NOW + 1e7, marginMs: 3_600_000 };
const fine: HealthFacts = {
  nowMs: NOW,
  phase: '',
  store: { name: 'file:/s', ok: true, message: '' },
  lease,
  workers: [{ state: 'running', restarts: 3 }],
  heldPeers: 0,
  reach: { peers: 2, silent: [] },
  skippedLeases: [],
  unreadableLeases: 0,
  twins: [],
  clockAheadMs: 59_000,
  firewallProblem: '',
  forwardingProblem: '',
  tableProblem: '',
  routesProblem: '',
  hostProblem: '',
  underlayMoved: '',
  addressTaken: '',
  addressForeign: '',
  bridgeStale: '',
  shadowed: '',
  mtu: undefined,
  recent: { drops: {}, socketDrops: 0, restarts: 0, sentPackets: 1000 },
};
const codes = (changes: Partial<HealthFacts>): string[] =>
  warningsOf({ ...fine, ...changes }).map(({ code }) => code);
const silent = (n: number, changes: Partial<SilentFact> = {}): SilentFact => ({
  ...{ name: `192.0.2.${n} (10.5.${n}.0/24)`, silentMs: 25_400, hasAnswered: true, isHeard: false },
  ...changes,
});
const drops = (counts: Record<string, number>): Partial<HealthFacts> => ({
  recent: { ...fine.recent, drops: counts },
});

test('a node that is well has no warnings', () => {
  assert.deepEqual(codes({}), []);
  assert.deepEqual(codes({ mtu: { outer: 1500, underlay: 1500 } }), []);
  assert.deepEqual(codes(drops({ outNoRoute: 1e6, inUnknownPeer: 59 })), []);
});

test('each state has its code', () => {
  const states: [string, Partial<HealthFacts>][] = [
    ['not-started', { phase: 'waiting for a lease' }],
    ['store-away', { store: { name: 's', ok: false, message: 'gone' } }],
    ['from-memory', { store: { name: 's', ok: true, message: '', rememberedAtMs: 1 } }],
    ['lease-taken', { lease: { ...lease, state: 'taken' } }],
    ['lease-lost', { lease: { ...lease, state: 'lost' } }],
    ['lease-expired', { lease: { ...lease, expiresAtMs: NOW - 1 } }],
    ['worker-stuck', { workers: [{ state: 'stuck', restarts: 0 }] }],
    ['worker-away', { workers: [{ state: 'restarting', restarts: 1 }] }],
    ['worker-restarts', { recent: { ...fine.recent, restarts: 2 } }],
    ['peers-held', { heldPeers: 4 }],
    ['peers-unreachable', { reach: { peers: 2, silent: [silent(2)] } }],
    ['leases-skipped', { skippedLeases: [{ key: '10.5.9.0-24', why: 'no VtepMAC' }] }],
    ['leases-unreadable', { unreadableLeases: 2 }],
    ['address-taken', { twins: ['10.5.9.0-24'] }],
    ['clock-skew', { clockAheadMs: -61_000 }],
    ['forwarding-off', { forwardingProblem: 'net/ipv4/ip_forward=0' }],
    ['firewall-missing', { firewallProblem: 'no nft' }],
    ['table-stale', { tableProblem: 'too many peers' }],
    ['routes-refused', { routesProblem: 'File exists' }],
    ['host-not-repaired', { hostProblem: 'eth0 is gone' }],
    ['underlay-moved', { underlayMoved: 'wg0 would be the underlay now' }],
    ['overlay-address-taken', { addressTaken: '10.244.2.0/32 on flannel0' }],
    ['bridge-stale', { bridgeStale: 'cni0 has 10.244.9.0/24' }],
    ['foreign-address', { addressForeign: 'flannel.1 has 192.0.2.9/24' }],
    ['route-shadowed', { shadowed: 'packets to 10.244.7.0/24 follow another route' }],
    ['mtu-mismatch', { mtu: { outer: 1500, underlay: 1400 } }],
    ['drops-spoofed', drops({ inForeignSource: 60 })],
    ['drops-unknown-peer', drops({ inUnknownPeer: 60 })],
    ['drops-stale-peer', drops({ inWrongMac: 60 })],
    ['drops-refused', drops({ inTunRefused: 60 })],
    ['drops-mtu', drops({ outUnderlayMtu: 30, inOversized: 30 })],
    ['drops-queue-full', drops({ outUnderlayFull: 100 })],
    ['socket-drops', { recent: { ...fine.recent, socketDrops: 60 } }],
  ];
  const page = readFileSync(path.join(projectRoot(), 'docs/reference/health.md'), 'utf8');
  for (const [code, changes] of states) {
    assert.deepEqual(codes(changes), [code]);
    assert.ok(page.includes(`| ${code} |`), `${code} is on the page`);
  }
});

test('who does not answer is named, three at most, and for how long', () => {
  const told = (...peers: SilentFact[]) =>
    warningsOf({ ...fine, reach: { peers: 9, silent: peers } });
  const [one] = told(silent(2));
  assert.equal(one?.title, '1 of 9 peers unreachable');
  assert.equal(one?.text, '192.0.2.2 (10.5.2.0/24) has not answered for 25 s');
  assert.ok(one?.impactsConnectivity);
  const [many] = told(...[2, 3, 4, 5, 6, 7, 8].map((n) => silent(n)));
  assert.match(many?.text ?? '', /^192\.0\.2\.2 [^;]*;[^;]*; 192\.0\.2\.4 [^;]*; and 4 more$/);
  const [never] = told(silent(2, { hasAnswered: false, isHeard: true }));
  assert.match(never?.text ?? '', /has never answered, though packets come from it$/);
  assert.match(never?.advice ?? '', /one direction/);
});

test('the verdict breaks by what keeps pods apart; not by an unavailable store, nor by what strangers send', () => {
  const breaks = (changes: Partial<HealthFacts>): boolean =>
    warningsOf({ ...fine, ...changes }).some(breaksVerdict);
  const [all, some] = [[silent(2), silent(3)], [silent(2)]];
  assert.ok(breaks({ reach: { peers: 2, silent: some } }));
  assert.ok(breaks({ reach: { peers: 2, silent: all } }));
  assert.ok(breaks({ skippedLeases: [{ key: 'k', why: 'w' }] }));
  assert.ok(breaks({ twins: ['k'] }));
  assert.ok(breaks({ forwardingProblem: 'x=0' }));
  assert.ok(breaks({ clockAheadMs: lease.marginMs }));
  assert.ok(!breaks({ clockAheadMs: lease.marginMs - 1 }));
  assert.ok(!breaks({ store: { name: 's', ok: false, message: 'gone' } }));
  assert.ok(!breaks({ unreadableLeases: 3, heldPeers: 2 }));
  assert.ok(!breaks(drops({ inUnknownPeer: 1e6, inForeignSource: 1e6 })));
});

test('a renewal that is merely due is no news, one that keeps failing is', () => {
  const left = (minutes: number): string[] =>
    codes({ lease: { ...lease, expiresAtMs: NOW + minutes * MINUTE_MS } });
  assert.deepEqual([left(61), left(58), left(54)], [[], [], ['lease-expiring']]);
  assert.deepEqual(codes({ lease: { key: 'k', state: 'held', marginMs: 1 } }), [], 'a reservation');
});

test('a queue that is full now and then is no news at a high rate', () => {
  const recent = { ...fine.recent, drops: { outUnderlayFull: 100 }, sentPackets: 1e6 };
  assert.deepEqual(codes({ recent }), []);
});

test('critical ones come first, and all say what to do', () => {
  const found = warningsOf({ ...fine, heldPeers: 1, workers: [{ state: 'stuck', restarts: 0 }] });
  assert.deepEqual(
    found.map(({ severity }) => severity),
    ['critical', 'warning'],
  );
  for (const warning of found) assert.ok(warning.advice.length > 10);
});

test('blips are not shown; what lasts tells since when; what is over is gone', () => {
  const board = new WarningBoard();
  const at = (monotonicMs: number) => ({ monotonicMs, nowMs: NOW + monotonicMs });
  const away = warningsOf({ ...fine, store: { name: 's', ok: false, message: 'gone' } });
  board.update(away, at(0));
  assert.deepEqual(board.visible(), []);
  board.update([], at(1000));
  board.update(away, at(2000));
  board.update(away, at(6000));
  assert.deepEqual(board.visible(), [], 'the blip before does not count');
  board.update(away, at(7000));
  assert.equal(board.visible()[0]?.since, new Date(NOW + 2000).toISOString());
  board.update([], at(8000));
  assert.deepEqual(board.visible(), []);
});

test('somebody who sets the time hides no warning and shows none early', () => {
  const away = warningsOf({ ...fine, store: { name: 's', ok: false, message: 'gone' } });
  for (const setByMs of [-3_600_000, 3_600_000]) {
    const board = new WarningBoard();
    board.update(away, { monotonicMs: 0, nowMs: NOW });
    board.update(away, { monotonicMs: 1_000, nowMs: NOW + setByMs });
    assert.deepEqual(board.visible(), []);
    board.update(away, { monotonicMs: 6_000, nowMs: NOW + setByMs });
    assert.equal(board.visible().length, 1);
  }
});
