/** The doctor's judgements on given facts; what it finds on real hosts is in test/netns/doctor.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DoctorAnswer } from '../../../src/cli/doctor/answer.ts';
import { judgeMtu, judgePort, type MtuChain } from '../../../src/cli/doctor/device-checks.ts';
import {
  judgeAcceptLocal,
  judgeCapabilities,
  judgeReversePath,
  judgeTun,
} from '../../../src/cli/doctor/host-checks.ts';
import { judgeMemory } from '../../../src/cli/doctor/memory-check.ts';
import { judgeMtus } from '../../../src/cli/doctor/neighbour-checks.ts';
import { judgeOverlay, judgePaths, judgeUdp } from '../../../src/cli/doctor/path-checks.ts';
import { socketInodes } from '../../../src/cli/doctor/port-holder.ts';
import {
  judgeDrops,
  judgeFlags,
  judgeHardening,
  judgeNode,
  judgeStoreEvents,
} from '../../../src/cli/doctor/program-checks.ts';
import { echoRequest, readIcmp } from '../../../src/cli/doctor/raw-echo.ts';
import { readRefusal } from '../../../src/cli/doctor/refusals.ts';
import { renderDoctor } from '../../../src/cli/doctor/render.ts';
import { CHECKS } from '../../../src/cli/doctor/run.ts';
import { judgeFile, judgeSettings } from '../../../src/cli/doctor/settings.ts';
import {
  judgeClock,
  judgeLease,
  judgeNoLease,
  judgeRoom,
} from '../../../src/cli/doctor/store-checks.ts';
import {
  foreignRoutes,
  judgeInterface,
  judgeNat,
  judgeNetworkOverlap,
  judgeSubnetOverlap,
} from '../../../src/cli/doctor/underlay-checks.ts';
import { chooseStyle } from '../../../src/cli/style.ts';
import type { Lease } from '../../../src/cluster/lease/lease.ts';
import { parseNetworkConfig } from '../../../src/cluster/network-config.ts';
import { parsePrefix } from '../../../src/shared/address.ts';
import { slowChecksum } from '../../support/packets.ts';
import { prefix } from '../../support/rig.ts';

test('ids are unique and kebab-case', () => {
  const ids = CHECKS.map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
  for (const id of ids) assert.match(id, /^[a-z0-9]+(-[a-z0-9]+)*$/);
});

test('node, tun, capabilities, reverse path', () => {
  assert.equal(judgeNode('20.18.9').status, 'fail');
  assert.equal(judgeNode('24.0.0').status, 'ok');
  assert.match(judgeTun('EACCES').fix ?? '', /chmod/);
  assert.equal(judgeCapabilities('CapEff:\t0000000000003000').status, 'ok');
  assert.equal(judgeCapabilities('CapEff:\t0000000000001000').status, 'warn');
  assert.equal(judgeCapabilities('CapEff:\t0000000000002000').status, 'fail');
  assert.equal(judgeReversePath(0, { eth0: 0, 'flannel.1': 2 }).status, 'ok');
  assert.equal(judgeReversePath(2, { eth0: 1 }).status, 'ok', 'loose for all is the larger value');
  assert.match(judgeReversePath(1, { eth0: 0 }).fix ?? '', /all.*eth0/);
});

test('accept_local for devices to come is a warning that names them and what to set', () => {
  assert.equal(judgeAcceptLocal([]).status, 'ok');
  const finding = judgeAcceptLocal(['default', 'flannel.1']);
  assert.equal(finding.status, 'warn');
  assert.match(finding.text, /default, flannel\.1/);
  assert.match(finding.fix ?? '', /default\/accept_local=0 .*flannel\.1\/accept_local=0/);
});

test('settings: unknown variables and bad flags are told', () => {
  const variables = { FLANNELD_IFACE: 'eth1', FLANNELD_STOER: 'etcd' };
  const judged = judgeSettings([], variables, 'file');
  assert.deepEqual(judged.settings?.interfaces, ['eth1']);
  assert.deepEqual(judged.warnings, ['FLANNELD_STOER is not an option of weftd']);
  assert.match(judgeSettings(['--nonsense'], {}, 'words').problem, /nonsense/);
});

test('settings: an environment file counts as systemd reads it, and what it ignores is told with its line', () => {
  const text = 'FLANNELD_STORE=file:/srv\\\n/weft\n# x\nexport FLANNELD_IFACE=eth1\n';
  const judged = judgeFile([], { name: '/etc/default/weftd', text }, { FLANNELD_IFACE: 'eth0' });
  assert.deepEqual(judged.settings?.store, { kind: 'file', folder: '/srv/weft' });
  assert.deepEqual(judged.settings?.interfaces, ['eth0'], 'the exported one is not set');
  const shown = judgeFlags(judged);
  assert.equal(shown.status, 'warn');
  assert.equal(
    shown.text,
    '/etc/default/weftd:4: "export" is for shells; systemd ignores the line',
  );
});

test('settings: where they come from', () => {
  const file = { name: 'f', text: 'FLANNELD_IFACE=eth1' };
  assert.equal(judgeFile([], undefined, {}).origin, 'the defaults');
  assert.equal(judgeFile([], file, {}).origin, 'f');
  assert.equal(judgeFile(['--iface=eth2'], file, {}).origin, 'the flags behind -- and f');
  assert.deepEqual(judgeFile(['--iface=eth2'], file, {}).settings?.interfaces, ['eth2']);
});

test('MTU chain: the first link that is too large is named', () => {
  const chain: MtuChain = {
    underlay: { name: 'eth0', mtu: 1500 },
    configMtu: undefined,
    devices: [{ name: 'flannel.1', mtu: 1450, overheadBytes: 50 }],
    fileMtu: 1450,
    podDevices: [{ name: 'cni0', mtu: 1450 }],
  };
  assert.equal(judgeMtu(chain).status, 'ok');
  assert.match(judgeMtu({ ...chain, configMtu: 9000 }).fix ?? '', /Backend\.MTU to 1500/);
  assert.match(judgeMtu({ ...chain, podDevices: [{ name: 'cni0', mtu: 1500 }] }).text, /cni0/);
  assert.match(judgeMtu({ ...chain, fileMtu: 1472 }).text, /FLANNEL_MTU is 1472/);
  const narrow = { ...chain, underlay: { name: 'eth0', mtu: 1400 } };
  assert.match(judgeMtu(narrow).fix ?? '', /flannel\.1 mtu 1350/);
});

test('port: free, ours, a process, a hidden one; inodes from /proc/net/udp', () => {
  assert.equal(judgePort(8472, undefined, [], undefined).status, 'ok');
  assert.equal(judgePort(8472, undefined, [{ pid: 7, name: 'node' }], 7).status, 'ok');
  assert.match(judgePort(8472, undefined, [{ pid: 8, name: 'nc' }], 7).fix ?? '', /kill 8/);
  assert.equal(judgePort(8472, undefined, [{ pid: undefined, name: '' }], 7).status, 'fail');
  const text =
    '  sl\n  1: 00000000:2118 00000000:0000 07 0:0 00:0 0 0 0 4711 2 x 0\n  2: 0:0035 0:0 07 0:0 0:0 0 0 0 12 2 x 0';
  assert.deepEqual(socketInodes(text, 8472), ['4711']);
});

test('interface, NAT, clock, lease', () => {
  const far = [{ address: '10.0.0.2', device: 'eth1' }];
  assert.match(judgeInterface('eth0', 'default route', far).fix ?? '', /--iface=eth1/);
  assert.match(
    judgeInterface('eth0', '', [{ address: '10.0.0.2', device: undefined }]).text,
    /no route/,
  );
  assert.equal(judgeNat('10.0.2.15').status, 'warn');
  assert.match(judgeClock(120_000, 'etcd').text, /120 s behind/);
  assert.equal(judgeLease({ key: 'k', state: 'taken', expiresAtMs: undefined }, 0).status, 'fail');
  assert.equal(judgeLease({ key: 'k', state: 'held', expiresAtMs: 60_000 }, 0).status, 'warn');
  assert.equal(judgeLease({ key: 'k', state: '', expiresAtMs: 0 }, 60_000).status, 'fail');
  assert.equal(judgeLease({ key: 'k', state: 'remembered', expiresAtMs: 9 }, 0).status, 'warn');
  assert.equal(judgeNoLease(undefined, []).status, 'skipped');
  assert.equal(judgeNoLease({}, []).status, 'warn');
});

test('start without the store: what is remembered, and why it would not do', () => {
  const own: Lease = {
    ...{ key: '10.5.1.0-24', attributes: { backendType: 'vxlan' } },
    ...{ isPermanent: false, expiresAtMs: 3_600_000, revision: '' },
  };
  const memory = { of: 's', savedAtMs: 0, config: '', own, others: [] };
  assert.deepEqual(judgeMemory('/m', memory, 600_000), {
    status: 'ok',
    text: '10.5.1.0-24 and 0 other nodes, 10 minutes old, good for 50min',
  });
  assert.match(
    judgeMemory('/m', memory, 3_600_000).text,
    /0 other nodes, 60 minutes old; .* has ended/,
  );
  const permanent = { ...memory, own: { ...own, isPermanent: true } };
  assert.equal(judgeMemory('/m', permanent, 3_600_000).status, 'ok');
  assert.match(judgeMemory('/m', 'it is damaged', 0).text, /^\/m is not used: it is damaged/);
  assert.equal(judgeMemory('/m', undefined, 0).status, 'skipped');
});

test('the watch of the store: from memory is a warning, however old it is', () => {
  const store = { name: 's', ok: false, message: 'gone', lastEventAt: null };
  const rememberedAt = new Date(0).toISOString();
  const found = judgeStoreEvents({ ...store, rememberedAt }, 7_200_000);
  assert.equal(found.status, 'warn');
  assert.match(found.text, /started from memory, 120 minutes old, because .*\(gone\)/);
  assert.match(judgeStoreEvents(store, 0).text, /lost its store \(gone\); no list of leases yet/);
  const lastEventAt = rememberedAt;
  assert.equal(judgeStoreEvents({ ...store, lastEventAt }, 7_200_000).status, 'fail');
  assert.equal(judgeStoreEvents({ ...store, ok: true, lastEventAt }, 7_200_000).status, 'ok');
});

test('hardening: what was given up and what was not, once for threads that are alike', () => {
  const hardening = { noDump: 'on', noRings: 'on', files: 'off: ENOSYS' };
  const worker = { state: 'running', restarts: 0, capabilities: 'dropped', seccomp: 'on' };
  const found = judgeHardening({ hardening, workers: [worker, worker] });
  const threads = 'threads: capabilities dropped, seccomp on';
  const text = `no dump on; no io_uring on; files off: ENOSYS; ${threads}`;
  assert.deepEqual(found, { status: 'ok', text });
  assert.equal(judgeHardening({}).status, 'skipped');
});

test('drops: what grows is told with its advice, what lies in the past is not', () => {
  assert.equal(judgeDrops({ inTtl: 5 }, { inTtl: 5 }).status, 'ok');
  const grown = judgeDrops({ inTtl: 5, outNoRoute: 0 }, { inTtl: 6, outNoRoute: 9 });
  assert.match(grown.text, /^growing: outNoRoute \+9, inTtl \+1/);
});

test('paths, UDP shapes, the overlay', () => {
  const path = { address: 'a', wantedBytes: 1500 };
  assert.equal(judgePaths([{ ...path, carriesBytes: 1500 }], 'x', 50).status, 'ok');
  assert.match(judgePaths([{ ...path, carriesBytes: 1400 }], 'x', 50).fix ?? '', /1400.*1350/);
  assert.equal(judgePaths([{ ...path, carriesBytes: 0 }], 'x', 50).status, 'skipped');
  const peer = { key: 'k', publicIp: '10.0.0.2', overlay: '10.244.2.0' };
  const silent = { peer, underlay: true, overlay: false, isRefused: false };
  const probe = { peers: [silent], suspects: [], problem: '' };
  const answer = { address: 'a', plain: true, shaped: true };
  assert.equal(judgeUdp([answer], probe, 8472).status, 'ok');
  assert.match(judgeUdp([{ ...answer, shaped: false }], probe, 8472).fix ?? '', /2388/);
  assert.equal(
    judgeUdp([{ ...answer, plain: false, shaped: false }], probe, 8472).status,
    'skipped',
  );
  assert.match(judgeOverlay(probe, 8472).fix ?? '', /UDP 8472 in both directions/);
  const refused = { ...probe, peers: [{ ...silent, isRefused: true }] };
  assert.match(judgeUdp([answer], refused, 8472).text, /nobody listens on UDP 8472 of 10\.0\.0\.2/);
  assert.match(judgeOverlay(refused, 8472).text, /see udp-shape/);
  const suspect = { peer, sent: 0, received: 0, wrongMac: 0, strayDevice: undefined };
  const unsent = judgeOverlay({ ...probe, suspects: [suspect] }, 8472);
  assert.match(unsent.text, /no packet came to weft/);
  assert.match(unsent.fix ?? '', /^ip route get 10\.244\.2\.0/);
  const dropped = judgeOverlay({ ...probe, suspects: [{ ...suspect, sent: 2 }] }, 8472);
  assert.match(dropped.text, /sent 2, received 0: something drops UDP 8472/);
});

test('routes of the host: none may lie in Network; where Network holds the nodes, none in a leased subnet', () => {
  const own = prefix('10.16.0.0/20');
  const routes = [
    { dst: 'default', dev: 'eth0' },
    { dst: '10.0.0.0/8', dev: 'flannel.1', protocol: '86' },
    { dst: '10.16.0.0/20', dev: 'cni0' },
    { dst: '10.1.0.0/16', dev: 'eth0' },
  ];
  const foreign = foreignRoutes(routes, own, ['flannel.1']);
  assert.deepEqual(
    foreign.map(({ text }) => text),
    ['10.1.0.0/16 dev eth0'],
  );
  assert.match(judgeNetworkOverlap(prefix('10.0.0.0/8'), foreign).text, /10\.1\.0\.0\/16 dev eth0/);
  assert.equal(judgeNetworkOverlap(prefix('10.244.0.0/16'), foreign).status, 'ok');
  const leased = [prefix('10.1.16.0/20'), prefix('10.16.16.0/20')];
  assert.equal(judgeSubnetOverlap(leased, foreign).status, 'ok', 'the route is less special');
  const stale = foreignRoutes([{ dst: '10.16.16.0/20', dev: 'br-old' }], own, []);
  assert.match(judgeSubnetOverlap(leased, stale).text, /10\.16\.16\.0\/20 dev br-old/);
});

test('ICMP: requests have a right checksum, answers and named MTUs are read, junk is not', () => {
  const request = echoRequest(0x1234, 1500);
  assert.equal(request.length, 1480);
  assert.equal(slowChecksum(request), 0);
  const ip = Buffer.alloc(20);
  ip[0] = 0x45;
  const reply = Buffer.from(request);
  reply[0] = 0;
  assert.deepEqual(readIcmp(Buffer.concat([ip, reply]), 0x1234), { kind: 'reply', bytes: 1500 });
  assert.equal(readIcmp(Buffer.concat([ip, reply]), 1), undefined);
  const inner = Buffer.from(ip);
  inner.set([10, 0, 0, 9], 16);
  const error = Buffer.from([3, 4, 0, 0, 0, 0, 0x05, 0x78]);
  const tooBig = Buffer.concat([ip, error, inner, request.subarray(0, 8)]);
  assert.deepEqual(readIcmp(tooBig, 0x1234), { kind: 'tooBig', to: '10.0.0.9', mtu: 1400 });
  for (let length = 0; length < tooBig.length; length++)
    assert.equal(readIcmp(tooBig.subarray(0, length), 0x1234), undefined);
});

test('ICMP: "port unreachable" about UDP names the peer and its port; other errors, about other packets, and halves do not', () => {
  const ip = Buffer.alloc(24); // with four bytes of options
  ip[0] = 0x46;
  const inner = Buffer.alloc(20);
  inner[0] = 0x45;
  inner[9] = 17;
  inner.set([10, 0, 0, 9], 16);
  const error = (type: number, code: number, about: Buffer): Buffer =>
    Buffer.concat([ip, Buffer.from([type, code, 0, 0, 0, 0, 0, 0]), about]);
  const about = Buffer.concat([inner, Buffer.from([0xc0, 0, 0x21, 0x18])]);
  const whole = error(3, 3, about);
  assert.deepEqual(readRefusal(whole), { to: '10.0.0.9', port: 8472 });
  for (let length = 0; length < whole.length; length++)
    assert.equal(readRefusal(whole.subarray(0, length)), undefined, `${length} bytes`);
  const tcp = Buffer.from(about);
  tcp[9] = 6;
  for (const other of [error(3, 1, about), error(11, 3, about), error(3, 3, tcp)])
    assert.equal(readRefusal(other), undefined);
});

test('a network is full by its own subnets; who has a lease is only warned', () => {
  const config = parseNetworkConfig(
    '{"Network":"10.244.0.0/16","SubnetLen":24,"SubnetMin":"10.244.4.0","SubnetMax":"10.244.5.0"}',
  );
  const lease = (text: string): Lease =>
    ({ key: text, subnet4: parsePrefix(text) }) as unknown as Lease;
  const [first, second, outside] = [
    lease('10.244.4.0/24'),
    lease('10.244.5.0/24'),
    lease('10.244.9.0/24'),
  ] as const;
  assert.equal(judgeRoom(config, [first, outside], false).status, 'ok');
  assert.match(judgeRoom(config, [first, outside], false).text, /IPv4: 1 of 2 leased/);
  assert.equal(judgeRoom(config, [first, second], false).status, 'fail');
  assert.equal(judgeRoom(config, [first, second], true).status, 'warn');
  const usual = parseNetworkConfig('{"Network":"10.244.0.0/16"}');
  assert.match(judgeRoom(usual, [first], true).text, /1 of 255 leased/);
});

test('one is one: words for people', () => {
  const answer = {
    schemaVersion: 1 as const,
    settings: 'the defaults',
    notice: 'not root: 1 check skipped; run: sudo weft doctor',
    checks: [],
    summary: { ok: 0, warn: 1, fail: 0, skipped: 0 },
  };
  const text = renderDoctor(answer as DoctorAnswer, chooseStyle('never', {}));
  assert.match(text, /^not root: 1 check skipped; run: sudo weft doctor\n/);
  assert.match(text, /0 failed, 1 warning, 0 ok/);
});

test('nodes whose pods have another MTU are named with it; stock nodes, which say nothing, are left out', () => {
  const node = (key: string, mtu: number | null, self = false) => ({ key, mtu, self });
  const own = node('10.244.1.0-24', 1450, true);
  const same = judgeMtus([own, node('10.244.2.0-24', 1450), node('10.244.9.0-24', null)]);
  assert.equal(same.status, 'ok');
  const other = judgeMtus([own, node('10.244.2.0-24', 1450), node('10.244.3.0-24', 1400)]);
  assert.equal(other.status, 'warn');
  assert.match(other.text, /1450 bytes.*: 10\.244\.3\.0-24 1400;/);
  assert.equal(judgeMtus([own, node('10.244.9.0-24', null)]).status, 'skipped');
  assert.equal(judgeMtus([node('10.244.1.0-24', null, true)]).status, 'skipped');
});
