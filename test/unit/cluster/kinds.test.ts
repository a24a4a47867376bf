/** The kinds of backend: what is known of each, and that a new one needs no change anywhere but in the tables. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { KINDS, kindNamed, kindOf } from '../../../src/cluster/kinds/all.ts';
import { parseKey } from '../../../src/cluster/lease/key.ts';
import type { Lease, LeaseAttributes } from '../../../src/cluster/lease/lease.ts';
import { decodeValue, encodeValue } from '../../../src/cluster/lease/value.ts';
import {
  networkConfigKeys,
  networkConfigProblems,
  parseNetworkConfig,
} from '../../../src/cluster/network-config.ts';
import type { Peer } from '../../../src/cluster/peers.ts';
import type { BackendContext } from '../../../src/control/backend/backend.ts';
import { createBackend } from '../../../src/control/backend/create.ts';
import { createEncap, ENCAPSULATIONS } from '../../../src/dataplane/encap/encapsulations.ts';
import { RouteTable } from '../../../src/dataplane/routes/table.ts';
import { isOwnDevice } from '../../../src/host/own-devices.ts';
import { TABLE_BYTES } from '../../../src/memory/table.ts';
import type { LinkTask } from '../../../src/memory/worker-task.ts';
import { NO_MAC } from '../../../src/shared/address.ts';
import { peersOf } from '../../support/peers-of.ts';
import { words } from '../../support/rig.ts';
import { ToyBackend } from '../../support/toy-backend.ts';
import { TOY_KIND } from '../../support/toy-kind.ts';

const NETWORK = '"Network":"10.3.0.0/16"';
const BOTH = `${NETWORK},"EnableIPv6":true,"IPv6Network":"fd00:3::/48"`;
const configOf = (type: string, more = '') =>
  parseNetworkConfig(`{${NETWORK},"Backend":{"Type":"${type}"${more}}}`);

function leaseOf(number: number, attributes: LeaseAttributes): Lease {
  const key = `10.3.${number}.0-24`;
  const publicIp4 = words(`192.0.2.${number}`);
  const rest = { isPermanent: false, revision: '' };
  return { ...parseKey(key), ...rest, key, attributes: { publicIp4, ...attributes } };
}

/** The same lease as another node reads it from the store. */
function read(lease: Lease): Lease {
  const attributes = decodeValue(encodeValue(lease.attributes));
  assert.ok(attributes);
  return { ...lease, attributes };
}

test('each backend reads its own options, with defaults', () => {
  const commands = '"PreStartupCommand":"a","subnetaddcommand":"b"';
  const vxlan = { type: 'vxlan', vni: 1, port: 8472, directRouting: false, gbp: false };
  for (const [type, more, expected] of [
    ['vxlan', '', vxlan],
    [
      'VXLAN',
      ',"VNI":7,"Port":4789,"MTU":1400,"GBP":true,"Learning":true,"DirectRouting":true',
      { ...vxlan, vni: 7, port: 4789, mtu: 1400, gbp: true, directRouting: true },
    ],
    ['vxlan', ',"Port":0,"MTU":0', vxlan],
    ['udp', '', { type: 'udp', port: 8285 }],
    ['udp', ',"PORT":9999,"VNI":3', { type: 'udp', port: 9999 }],
    ['host-gw', ',"Port":1', { type: 'host-gw' }],
    ['alloc', '', { type: 'alloc' }],
    [
      'Extension',
      `,${commands}`,
      { type: 'extension', preStartup: 'a', postStartup: '', subnetAdd: 'b', subnetRemove: '' },
    ],
  ] as const)
    assert.deepEqual(configOf(type, more).backend, expected, `${type}${more}`);
  assert.deepEqual(parseNetworkConfig(`{${NETWORK}}`).backend, { type: 'udp', port: 8285 });
});

test('what is refused says what to change', () => {
  const refused = (text: string): string[] => networkConfigProblems(text);
  const use = 'use vxlan, udp, host-gw, alloc or extension';
  for (const [backend, expected] of [
    ['{"Type":"vxlan","VNI":16777216}', 'Backend.VNI 16777216 is larger than 16777215'],
    ['{"Type":"Toy"}', `Backend.Type "Toy" is unknown; ${use}`],
    ['{"Type":"WireGuard"}', `Backend.Type "WireGuard" is not supported yet; ${use}`],
    ['{}', `Backend.Type "" is unknown; ${use}`],
  ] as const)
    assert.deepEqual(refused(`{${NETWORK},"Backend":${backend}}`), [expected]);
  assert.deepEqual(refused(`{${BOTH},"Backend":{"Type":"udp"}}`), [
    'the udp backend carries IPv4 only; use vxlan or EnableIPv6=false',
  ]);
  const [port, ...others] = refused(`{${NETWORK},"Backend":{"Type":"alloc","Port":70000}}`);
  assert.match(port ?? '', /^Backend\.port: /);
  assert.deepEqual(others, []);
});

test('a key that several kinds read is the same option to all of them', () => {
  const seen = new Map<string, unknown>();
  for (const { options } of KINDS) {
    for (const [key, values] of Object.entries(options)) {
      const lower = key.toLowerCase();
      assert.equal(seen.get(lower) ?? values, values, key);
      seen.set(lower, values);
    }
  }
  assert.equal(networkConfigKeys().backend.length, seen.size + 1, 'and spelt in one way');
  assert.equal(new Set(KINDS.map(({ type }) => type)).size, KINDS.length);
});

test('the overhead is what the data plane writes and the outer headers', () => {
  const withTunnel = KINDS.filter((kind) => kind.tunnel).map(({ type }) => type);
  assert.deepEqual(withTunnel, ['vxlan', 'udp']);
  for (const type of withTunnel) {
    const { backend } = configOf(type);
    const kind = kindOf(backend);
    const task = kind.tunnel?.(backend);
    assert.ok(task);
    const { headerBytes } = createEncap(
      ENCAPSULATIONS,
      task.encap,
      { ownMac: NO_MAC } as LinkTask,
      new RouteTable(new SharedArrayBuffer(TABLE_BYTES)),
    );
    for (const family of kind.families) {
      const outerBytes = family === 4 ? 28 : 48;
      assert.equal(kind.overheadBytes(family), outerBytes + headerBytes, `${type} ${family}`);
    }
  }
  const bytes = (type: string) => [4, 6].map((f) => kindNamed(type)?.overheadBytes(f as 4 | 6));
  assert.deepEqual(bytes('vxlan'), [50, 70]);
  assert.equal(bytes('udp')[0], 28);
  assert.deepEqual(bytes('host-gw'), [0, 0]);
});

test('every device name that a config can give is known to be ours, whatever the config was', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 24 - 1 }), fc.constantFrom(4, 6), (vni, family) => {
      for (const type of ['vxlan', 'udp'] as const) {
        const { backend } = configOf(type, `,"VNI":${vni}`);
        const ifname = kindOf(backend).devices?.name(backend, family as 4 | 6);
        assert.ok(ifname);
        const link = { ifname, linkinfo: { info_kind: 'tun' } };
        assert.ok(isOwnDevice(link));
      }
    }),
    { numRuns: 50 },
  );
});

test("cleanup leaves a stock flannel's devices and all others alone", () => {
  const link = (ifname: string, kind?: string) => ({
    ifname,
    ...(kind && { linkinfo: { info_kind: kind } }),
  });
  const ours = ['flannel.1', 'flannel-v6.1', 'flannel0', 'weft.1'].map((n) => link(n, 'tun'));
  ours.push(link('weft.1a', 'veth'));
  const others = [
    ...[link('flannel.2', 'vxlan'), link('flannel-v6.2', 'vxlan'), link('eth0'), link('flannel.3')],
    ...[link('weft.1b', 'veth'), link('weft.1a', 'vlan'), link('weft.1', 'veth')],
    ...[link('flannel1', 'tun'), link('flannel.1a', 'tun'), link('toy4-red', 'ipip')],
  ];
  assert.deepEqual(
    [...others, ...ours].filter((link) => isOwnDevice(link)),
    ours,
  );
});

test('a VTEP MAC comes back from the lease in which it was published', () => {
  const config = configOf('vxlan', ',"VNI":9,"Port":4789');
  const vtep = kindOf(config.backend).tunnel?.(config.backend).vtep;
  assert.ok(vtep);
  const mac = { high: 0x0a0b0c0d, low: 0x0e0f };
  const backendData = vtep.leaseData(mac);
  assert.deepEqual(backendData, { VNI: 9, VtepMAC: '0a:0b:0c:0d:0e:0f' });
  const other = read(leaseOf(2, { backendType: 'vxlan', backendData }));
  assert.deepEqual(vtep.macOf(other.attributes.backendData), mac);
  const { peers } = peersOf([other], leaseOf(1, { backendType: 'vxlan' }), config);
  assert.deepEqual(
    peers.map((peer) => [peer.port, peer.mac]),
    [[4789, mac]],
  );
});

test('a lease of another kind is skipped with a reason; what a kind needs of its own is taken', () => {
  const own = leaseOf(1, { backendType: '' });
  const leases = [
    ...[leaseOf(2, { backendType: '' }), leaseOf(3, { backendType: 'vxlan' })],
    leaseOf(4, { backendType: 'host-gw' }),
    leaseOf(5, { backendType: 'extension', backendData: 'told' }),
  ].map(read);
  const outcome = (type: string) => {
    const { peers, skipped } = peersOf(leases, own, configOf(type));
    const takes = ({ key, port, mac, data }: Peer) => [key, port, mac === NO_MAC, data];
    return { peers: peers.map(takes), why: skipped.map(({ why }) => why) };
  };
  const not = (found: string, kind: string) => `backend type "${found}" is not ${kind}`;
  assert.deepEqual(outcome('udp'), {
    peers: [['10.3.2.0-24', 8285, true, undefined]],
    why: [not('vxlan', 'udp'), not('host-gw', 'udp'), not('extension', 'udp')],
  });
  assert.deepEqual(outcome('alloc').peers, [['10.3.2.0-24', 0, true, undefined]]);
  assert.deepEqual(outcome('host-gw').peers, [['10.3.4.0-24', 0, true, undefined]]);
  assert.deepEqual(outcome('extension').peers, [['10.3.5.0-24', 0, true, 'told']]);
  assert.deepEqual(outcome('vxlan'), {
    peers: [],
    why: [
      not('', 'vxlan'),
      'BackendData without a valid VtepMAC',
      not('host-gw', 'vxlan'),
      not('extension', 'vxlan'),
    ],
  });
});

test('config comes back from JSON as it was: it is plain data', () => {
  for (const { type } of KINDS) {
    const config = configOf(type);
    assert.deepEqual(JSON.parse(JSON.stringify(config)), config);
  }
});

const WITH_TOY = [...KINDS, TOY_KIND];
const toyText = (more = '') => `{${BOTH},"Backend":{"Type":"Toy"${more}}}`;

test('a new kind is parsed, checked and explained by adding it to the table', () => {
  assert.deepEqual(parseNetworkConfig(toyText(), WITH_TOY).backend, { type: 'toy', colour: 'red' });
  const { backend } = parseNetworkConfig(toyText(',"COLOUR":"blue"'), WITH_TOY);
  assert.deepEqual(backend, { type: 'toy', colour: 'blue' });
  const problems = (text: string) => networkConfigProblems(text, WITH_TOY);
  assert.deepEqual(problems(toyText()), []);
  assert.deepEqual(problems(toyText(',"Colour":"0"')), ['Backend.Colour "0" is no colour']);
  assert.match(problems(toyText(',"Colour":1'))[0] ?? '', /^Backend\.colour: .*string/);
  assert.match(problems('{"Network":"10.3.0.0/16","Backend":{"Type":"x"}}')[0] ?? '', /or toy$/);
  assert.ok(networkConfigKeys(WITH_TOY).backend.includes('Colour'));
  assert.ok(!networkConfigKeys().backend.includes('Colour'));
  assert.throws(() => parseNetworkConfig(toyText()), { code: 'ERR_BACKEND' });
});

test('a new kind has peers, overhead and devices', () => {
  const config = parseNetworkConfig(toyText(), WITH_TOY);
  const kind = kindOf(config.backend, WITH_TOY);
  const leases = [
    leaseOf(2, { backendType: 'toy', backendData: 'red' }),
    leaseOf(3, { backendType: 'toy', backendData: 'blue' }),
    leaseOf(4, { backendType: 'vxlan' }),
  ].map(read);
  const own = leaseOf(1, { backendType: 'toy' });
  const { peers, skipped } = peersOf(leases, own, config, WITH_TOY);
  assert.deepEqual(
    peers.map((peer) => peer.key),
    ['10.3.2.0-24'],
  );
  assert.deepEqual(
    skipped.map(({ why }) => why),
    ['colour "blue" is not ours', 'backend type "vxlan" is not toy'],
  );
  assert.deepEqual([kind.overheadBytes(4), kind.overheadBytes(6)], [20, 40]);
  assert.equal(kind.tunnel, undefined);
  const names = kind.families.map((family) => kind.devices?.name(config.backend, family));
  assert.deepEqual(names, ['toy4-red', 'toy6-red']);
  const links = names.map((ifname) => ({ ifname: ifname ?? '', linkinfo: { info_kind: 'ipip' } }));
  assert.ok(links.every((link) => isOwnDevice(link, WITH_TOY)));
});

test('a new kind gets its class by a line in the table of classes', async () => {
  const config = parseNetworkConfig(toyText(), WITH_TOY);
  const external = { name: 'eth0', mtu: 1500, public4: words('192.0.2.1'), reason: '' };
  const context = { ...({} as BackendContext), config, external };
  const backend = createBackend(context, { toy: ToyBackend });
  assert.deepEqual(await backend.attributes(), {
    backendType: 'toy',
    publicIp4: words('192.0.2.1'),
    backendData: 'red',
  });
  assert.equal(backend.podMtu(), 1480);
  assert.throws(() => createBackend(context), /no class does the work of backend toy/);
});
