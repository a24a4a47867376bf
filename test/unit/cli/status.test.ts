/** weft status and weft routes get: what people read. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RoutePage } from '../../../src/api/routes.ts';
import { renderRoute } from '../../../src/cli/commands/routes.ts';
import { renderStatus, type Screen } from '../../../src/cli/commands/status.ts';
import { widthOf } from '../../../src/cli/render.ts';
import { chooseStyle, PLAIN } from '../../../src/cli/style.ts';

const NOW = Date.parse('2026-01-01T00:01:00.000Z');
const START = '2026-01-01T00:00:00.000Z';

const status: Screen = {
  healthy: true,
  notReady: null,
  firewall: { ok: false, problem: 'no nft' },
  version: '1.2.3',
  startedAt: START,
  node: { interface: 'eth0', publicIp: '192.0.2.1', publicIpv6: null },
  backend: 'vxlan',
  devices: [{ device: 'flannel.1', mtu: 1450 }],
  lease: { key: '10.5.1.0-24', state: 'held', expiresAt: null },
  store: { name: 'file:/s', ok: false, message: 'gone', lastEventAt: START },
  peers: { total: 3, held: 2, skipped: 1 },
  reach: { reachable: 2, unreachable: 1, unknown: 0, rttMs: { least: 0.25, most: 1.5 } },
  offloads: ['batch'],
  workers: [
    { state: 'stuck', restarts: 1 },
    { state: 'running', restarts: 0 },
  ],
  counters: { sentPackets: 5, sentBytes: 2048, deliveredPackets: 0, deliveredBytes: 0 },
  drops: { outbound: { outNoRoute: 4, outTtl: 1, outFamily: 1 }, inbound: { inTtl: 9, inEcn: 0 } },
  rates: {
    seconds: 5,
    sentPacketsPerSecond: 1234,
    sentBytesPerSecond: 125_000,
    receivedPacketsPerSecond: 0,
    receivedBytesPerSecond: 0,
    droppedPacketsPerSecond: 0,
  },
  table: { generation: 7, publishedAt: START },
  health: [
    {
      code: 'store-away',
      severity: 'warning',
      title: 'The store has not answered',
      text: 'file:/s: gone; forwarding goes on with the last table',
      advice: 'check the store and the network path to it',
      impactsConnectivity: false,
      since: START,
    },
  ],
};

test('status shows the own Node of Kubernetes, with its fault and with what is forbidden', () => {
  const own = {
    ...{ server: 'https://10.0.0.1:6443', nodeName: 'worker-1', podCidrs: ['10.5.1.0/24'] },
    ...{ annotated: true, problem: '', forbidden: [] as string[] },
  };
  const screen = (more: Partial<typeof own>): string => {
    const store = { ...status.store, kubernetes: { ...own, ...more } };
    const lease = { key: 'worker-1', state: 'held', expiresAt: null };
    return renderStatus({ ...status, store, lease }, PLAIN, NOW, 100);
  };
  assert.match(screen({}), /^own Node {2}worker-1, podCIDR 10\.5\.1\.0\/24, annotated$/m);
  assert.match(screen({}), /^lease {5}10\.5\.1\.0\/24 {2}held, as long as the Node exists$/m);
  const bad = screen({
    ...{ annotated: false, podCidrs: [], problem: 'it is gone' },
    forbidden: ['PATCH /api/v1/nodes/worker-1/status'],
  });
  assert.match(
    bad,
    /^own Node {2}worker-1, no podCIDR, NOT ANNOTATED: it is gone; FORBIDDEN: PATCH \/api/m,
  );
  assert.doesNotMatch(renderStatus(status, PLAIN, NOW, 100), /own Node/);
});

test('status says what is wrong, for how long, and what to do', () => {
  const text = renderStatus(status, PLAIN, NOW, 100);
  assert.match(text, /^! healthy, 1 warning {3}weft 1\.2\.3, up 60s\n/);
  assert.match(text, /! The store has not answered for 60s\n {4}file:.*\n {4}→ check the store/);
  assert.match(text, /store {5}file:\/s {2}UNAVAILABLE: gone, last change 60s ago/);
  assert.match(text, /workers {3}1 stuck, 1 running, 1 restart\n/);
  assert.match(
    text,
    /peers {5}2\/3 up, round trip 0\.25 to 1\.50 ms, 1 unreachable, 2 kept .*, 1 lease skipped\n/,
  );
  assert.match(text, /firewall {2}NOT IN PLACE: no nft/);
  assert.match(text, /sent {7}1\.23k packets\/s {3}1\.00 Mbit\/s {3}5 packets, 2\.0 KiB/);
});

test('status: from memory, and how old; a store that was never reached has had no change', () => {
  const rememberedAt = new Date(NOW - 12 * 60_000).toISOString();
  const store = { ...status.store, since: START, lastEventAt: null, rememberedAt };
  const text = renderStatus({ ...status, store }, PLAIN, NOW, 100);
  assert.match(text, /store {5}file:\/s {2}UNAVAILABLE for 60s: gone\n/);
  assert.match(text, /memory {4}from memory, 12 minutes old\n/);
  assert.doesNotMatch(renderStatus(status, PLAIN, NOW, 100), /from memory/);
});

test('status: the three most frequent drop reasons, each with advice', () => {
  const text = renderStatus(status, PLAIN, NOW, 100);
  assert.match(
    text,
    /dropped {3}none now, most since the start:\n {2}9 inTtl: .*\n {4}→ .*\n {2}4 out/,
  );
  assert.ok(!text.includes('inEcn') && !text.includes('outFamily'));
});

test('status: a node that only starts has no lease to tell of, a healthy one no warnings', () => {
  const { health: _, drops: __, ...rest } = status;
  const starting = {
    ...rest,
    healthy: false,
    node: null,
    lease: null,
    notReady: 'waiting for a lease',
  };
  assert.match(renderStatus(starting, PLAIN, NOW, 100), /NOT HEALTHY: waiting for a lease/);
  const firewall = { ok: true, problem: '', kind: 'nftables' } as const;
  const well = renderStatus({ ...rest, healthy: true, firewall }, PLAIN, NOW, 100);
  assert.match(well, /^● healthy {3}weft/);
  assert.match(well, /\nfirewall {2}rules in place, by nftables\n/);
});

test('status: some peers that do not answer are another verdict than a node that is broken itself', () => {
  const [known] = status.health ?? [];
  assert.ok(known);
  const silent = { ...known, title: '1 of 3 peers unreachable', impactsConnectivity: true };
  const degraded = { ...status, healthy: false, health: [silent, known] };
  assert.match(
    renderStatus(degraded, PLAIN, NOW, 100),
    /^! DEGRADED: 1 of 3 peers unreachable, 2 warnings {3}weft/,
  );
  const off = { ...silent, severity: 'critical' as const, title: 'IP forwarding is off' };
  const broken = { ...degraded, health: [off, silent] };
  assert.match(
    renderStatus(broken, PLAIN, NOW, 100),
    /^✗ NOT HEALTHY: IP forwarding is off, 2 warnings {3}weft/,
  );
});

test('status: texts are wrapped to the width, colours take no room', () => {
  const coloured = renderStatus(status, chooseStyle('always', {}), NOW, 40);
  const advice = coloured.split('\n').filter((line) => /^\S*\[2m {4}[→ ]/.test(line));
  assert.ok(advice.length > 3);
  for (const line of advice) assert.ok(widthOf(line) <= 40, line);
});

const none = { device: null, gateway: null, source: null, problem: null };
const route: RoutePage = {
  address: '10.5.2.9',
  family: 4,
  way: 'peer',
  network: '10.5.0.0/16',
  ownSubnet: '10.5.1.0/24',
  peer: { key: '10.5.2.0-24', subnet: '10.5.2.0/24', publicIp: '192.0.2.2' },
  kernel: { ...none, device: 'flannel.1' },
  encapsulation: {
    type: 'vxlan',
    source: '192.0.2.1',
    destination: '192.0.2.2',
    port: 8472,
    vni: 1,
    sourceMac: '02:00:00:00:00:01',
    destinationMac: '02:00:00:00:00:02',
    overheadBytes: 50,
  },
  underlay: { ...none, device: 'eth0', gateway: '192.0.2.254' },
  mtu: 1450,
  podMtu: 1430,
};

test('routes get: the whole header of a packet to a peer', () => {
  const text = renderRoute(route, PLAIN);
  assert.match(text, /^10\.5\.2\.9 via 192\.0\.2\.2 dev flannel\.1\n/);
  for (const part of [
    'VXLAN, VNI 1, 50 bytes',
    '02:00:00:00:00:01 > 02:00:00:00:00:02',
    '192.0.2.1 > 192.0.2.2, UDP port 8472',
    'via 192.0.2.254 dev eth0',
    '1450 bytes; pods get 1430',
  ])
    assert.ok(text.includes(part), part);
});

test('routes get: direct, own, unleased and outside are told apart', () => {
  const other = (way: RoutePage['way']): string =>
    renderRoute({ ...route, way, encapsulation: null, underlay: null }, PLAIN);
  assert.match(other('direct'), /by a plain route, not encapsulated/);
  assert.match(other('own'), /own subnet 10\.5\.1\.0\/24/);
  assert.match(other('unleased'), /ICMP unreachable/);
  assert.match(other('outside'), /outside the overlay \(10\.5\.0\.0\/16\).*kernel's own routing/);
});
