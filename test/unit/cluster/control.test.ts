/** The control side's pure parts: network config, lease keys and values, allocation, guard, files, flags. */
import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { decodeData } from '../../../src/cluster/kinds/vxlan.ts';
import { acquireLease } from '../../../src/cluster/lease/acquire.ts';
import { formatKey, parseKey } from '../../../src/cluster/lease/key.ts';
import type { LeaseAttributes } from '../../../src/cluster/lease/lease.ts';
import { decodeValue, encodeValue } from '../../../src/cluster/lease/value.ts';
import { parseNetworkConfig } from '../../../src/cluster/network-config.ts';
import type { Peer } from '../../../src/cluster/peers.ts';
import { leasesToPeers } from '../../../src/cluster/peers.ts';
import { FileStore } from '../../../src/cluster/store/file.ts';
import { GRACE_MS, SETTLE_MS, TableGuard } from '../../../src/control/membership/table-guard.ts';
import { randomMac, readState, writeState } from '../../../src/control/plane/state.ts';
import { formatSubnetEnv, readSubnetEnv } from '../../../src/host/subnet-env.ts';
import { FEATURE, FEATURES_ALL } from '../../../src/memory/layout.ts';
import { parseFlags } from '../../../src/options/flags.ts';
import { OPTIONS } from '../../../src/options/options.ts';
import { parseOffload, toSettings } from '../../../src/options/settings.ts';
import {
  formatAddress,
  formatPrefix,
  parseAddress,
  parsePrefix,
} from '../../../src/shared/address.ts';
import { WeftError } from '../../../src/shared/errors.ts';
import { writeFileAtomically } from '../../../src/shared/files.ts';
import { prefix, words } from '../../support/rig.ts';

const temporary: string[] = [];
async function folder(): Promise<string> {
  const made = await mkdtemp(path.join(tmpdir(), 'weft-test-'));
  temporary.push(made);
  return made;
}
after(async () => {
  for (const made of temporary) await rm(made, { recursive: true });
});

const refused = (text: string): void => {
  assert.throws(() => parseNetworkConfig(text), WeftError, text);
};
const range = (text: string): string[] => {
  const { ipv4, ipv6 } = parseNetworkConfig(text);
  const family = ipv4 ?? ipv6;
  assert.ok(family);
  return [
    `${family.subnetLength}`,
    formatAddress(family.subnetMin.words),
    formatAddress(family.subnetMax.words),
  ];
};

test('CFG-1, CFG-5 keys in any case, defaults, host bits masked, last duplicate wins', () => {
  assert.deepEqual(range('{"network":"10.3.0.0/16"}'), ['24', '10.3.1.0', '10.3.255.0']);
  assert.equal(parseNetworkConfig('{"Network":"10.3.0.0/16"}').backend.type, 'udp');
  const odd = parseNetworkConfig('{"NETWORK":"10.9.9.9/16","x":1,"Network":"10.3.4.5/16"}');
  assert.ok(odd.ipv4);
  assert.equal(formatPrefix(odd.ipv4.network), '10.3.0.0/16');
  refused('{"Network":null}');
  refused('{}');
  refused('');
  refused('{"Network":"10.0.0.0/16"} x');
});

test('CFG-2, CFG-3 derived ranges', () => {
  const v6 =
    '{"EnableIPv4":false,"enableIPv6":true,"IPv6Network":"fc00::/48","Backend":{"Type":"vxlan"}}';
  assert.deepEqual(range(v6), ['64', 'fc00:0:0:1::', 'fc00:0:0:ffff::']);
  assert.deepEqual(range('{"Network":"10.0.0.0/23"}'), ['25', '10.0.0.128', '10.0.1.128']);
  assert.deepEqual(range('{"Network":"10.0.0.0/28"}'), ['30', '10.0.0.4', '10.0.0.12']);
  refused('{"Network":"10.0.0.0/29"}');
});

test('CFG-4, CFG-7 overrides and backends', () => {
  const base = '"Network":"10.3.0.0/16"';
  assert.deepEqual(
    range(`{${base},"SubnetMin":"10.3.5.0","SubnetMax":"10.3.8.0","SubnetLen":28}`),
    ['28', '10.3.5.0', '10.3.8.0'],
  );
  for (const bad of [
    '"SubnetMin":"10.4.0.0"',
    '"SubnetMax":"10.4.0.0"',
    '"SubnetMin":"10.3.5.1"',
    '"SubnetLen":31',
    '"SubnetLen":17',
    '"Backend":{}',
    '"Backend":{"Type":"wireguard"}',
    '"Backend":{"Type":"vxlan","VNI":16777216}',
  ]) {
    refused(`{${base},${bad}}`);
  }
  assert.equal(parseNetworkConfig(`{${base},"Backend":{"type":"VXLAN"}}`).backend.type, 'vxlan');
});

test('KEY-1, KEY-2 keys round-trip; malformed ones are refused', () => {
  for (const key of ['10.1.5.0-24', '10.12.13.0-24&fd00:12:13::-56']) {
    assert.equal(formatKey(parseKey(key) ?? {}), key);
  }
  for (const bad of [
    '10',
    '10.12.13.0',
    '10.12.13-24',
    '10.12.13.300-24',
    '10.12.13.0-24hi',
    '&2001::-56',
    '10.12.13.0-24&:12:13:-56',
    '10.12.13.0-24&20011::-56',
    '10.12.13.0-24&2001-56',
    '10.12.13.0-24&2001::',
    '10.12.13.0-24&2001::-56hi',
    '10.0.0.0-32',
    '../config',
    'hello',
  ]) {
    assert.equal(parseKey(bad), undefined, bad);
  }
});

test('VAL-1 values to the byte', () => {
  const ip: LeaseAttributes = { publicIp4: words('1.2.3.4'), backendType: '' };
  assert.equal(encodeValue(ip), '{"PublicIP":"1.2.3.4","PublicIPv6":null}');
  const data = { VNI: 1, VtepMAC: 'c6:d2:32:6f:8f:44' };
  const vxlan = { ...ip, backendType: 'vxlan', backendData: data };
  const tail = '"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}';
  assert.equal(encodeValue(vxlan), `{"PublicIP":"1.2.3.4","PublicIPv6":null,${tail}}`);
  const dual = { ...vxlan, publicIp6: words('fd50::3'), backendV6Data: data };
  assert.equal(
    encodeValue(dual),
    `{"PublicIP":"1.2.3.4","PublicIPv6":"fd50::3",${tail},"BackendV6Data":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}}`,
  );
});

test('VAL-2 readers take any key case and missing fields, and refuse junk', () => {
  assert.equal(decodeValue('{"publicip":"1.2.3.4"}')?.backendType, '');
  assert.equal(decodeValue('{"PublicIP":"fd00::1"}'), undefined);
  assert.equal(decodeValue('nonsense'), undefined);
  assert.equal(decodeValue('[1]'), undefined);
  assert.deepEqual(decodeData({ VtepMAC: '02:00:00:00:00:01' }), {
    mac: { high: 0x02000000, low: 1 },
  });
  assert.equal(decodeData({ VtepMAC: 'x' }), undefined);
});

test('fuzz: parsers of store and config text never throw anything but WeftError', () => {
  const pieces = fc.constantFrom(
    '{',
    '}',
    '"',
    ':',
    ',',
    'Network',
    'PublicIP',
    'Backend',
    'Type',
    'vxlan',
    '10.0.0.0/16',
    '1.2.3.4',
    'null',
    '-24',
    '&',
    'fd00::',
  );
  const text = fc.oneof(
    fc.string(),
    fc.array(pieces).map((parts) => parts.join('')),
    fc.json(),
  );
  fc.assert(
    fc.property(text, (input) => {
      parseKey(input);
      const value = decodeValue(input);
      decodeData(value?.backendData);
      try {
        parseNetworkConfig(input);
      } catch (error) {
        if (!(error instanceof WeftError)) throw error;
      }
    }),
    { numRuns: 3000 },
  );
});

test('addresses: text round-trips, lenient forms are refused', () => {
  fc.assert(fc.property(fc.ipV4(), (text) => assert.equal(formatAddress(words(text)), text)));
  fc.assert(
    fc.property(fc.ipV6(), (text) => {
      const parsed = parseAddress(text);
      if (parsed) assert.deepEqual(words(formatAddress(parsed)), parsed);
    }),
  );
  for (const bad of [
    '1.2.3',
    '01.2.3.4',
    '1.2.3.4.5',
    '1',
    '0x1.2.3.4',
    'fe80::1%eth0',
    '',
    '::g',
  ]) {
    assert.equal(parseAddress(bad), undefined, bad);
  }
  assert.equal(parsePrefix('10.0.0.0/33'), undefined);
});

const config = parseNetworkConfig(
  '{"Network":"10.3.0.0/16","SubnetMin":"10.3.1.0","SubnetMax":"10.3.25.0","Backend":{"Type":"vxlan"}}',
);
const attributes = (ip: string): LeaseAttributes => ({
  publicIp4: words(ip),
  backendType: 'vxlan',
  backendData: { VNI: 1, VtepMAC: '02:00:00:00:00:05' },
});

test('ACQ-1, ACQ-2, ACQ-3, ACQ-6 acquiring, reusing, moving', async () => {
  const store = new FileStore(await folder());
  for (const i of [1, 2, 4, 5]) {
    await store.create(`10.3.${i}.0-24`, encodeValue(attributes(`192.0.2.${i}`)), 60_000);
  }
  const last = () => 0.99; // not 10.3.6.0, which is wanted below
  const lease = await acquireLease(store, config, attributes('192.0.2.9'), undefined, last);
  assert.ok(!['10.3.1.0-24', '10.3.2.0-24', '10.3.4.0-24', '10.3.5.0-24'].includes(lease.key));
  const left = (lease.expiresAtMs ?? 0) - Date.now();
  assert.ok(left <= 86_400_000 && left > 86_300_000);
  assert.equal(
    (await acquireLease(store, config, attributes('192.0.2.9'), undefined)).key,
    lease.key,
  );
  const previous = { subnet4: prefix('10.3.6.0/24') };
  assert.equal(
    (await acquireLease(store, config, attributes('192.0.2.10'), previous)).key,
    '10.3.6.0-24',
  );
  const held = await acquireLease(store, config, attributes('192.0.2.11'), previous);
  assert.notEqual(held.key, '10.3.6.0-24');
  const moved = parseNetworkConfig('{"Network":"10.4.0.0/16","Backend":{"Type":"vxlan"}}');
  const next = await acquireLease(store, moved, attributes('192.0.2.11'), previous);
  assert.match(next.key, /^10\.4\./);
  assert.ok(!(await store.list()).leases.some((stored) => stored.key === held.key));
});

test('ACQ-4, ACQ-5, ACQ-7 exhaustion, a lost race, a reservation', async () => {
  const small = parseNetworkConfig('{"Network":"10.3.0.0/28","Backend":{"Type":"vxlan"}}');
  const store = new FileStore(await folder());
  await store.create('10.3.0.4-30', encodeValue(attributes('192.0.2.1')), undefined);
  const own = await acquireLease(store, small, attributes('192.0.2.1'), undefined);
  assert.ok(own.isPermanent, 'a reservation stays permanent');
  assert.equal((await store.list()).leases[0]?.isPermanent, true);
  await acquireLease(store, small, attributes('192.0.2.2'), undefined);
  await acquireLease(store, small, attributes('192.0.2.3'), undefined);
  await assert.rejects(
    acquireLease(store, small, attributes('192.0.2.4'), undefined),
    /out of subnets/,
  );
  const racing = new FileStore(await folder());
  await racing.create('10.9.0.0-24', 'x', undefined);
  const create = racing.create.bind(racing);
  let lost = 0;
  racing.create = async (key, value, ttlMs) =>
    lost++ === 0 ? 'exists' : create(key, value, ttlMs);
  assert.ok((await acquireLease(racing, config, attributes('192.0.2.5'), undefined)).key);
});

test('two dual-stack nodes that pick the same IPv4 subnet at the same moment end with different ones', async () => {
  const dual = parseNetworkConfig(
    '{"Network":"10.3.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:3::/48","Backend":{"Type":"vxlan"}}',
  );
  const root = await folder();
  await mkdir(path.join(root, 'subnets'));
  const store = new FileStore(root);
  const picks =
    (...values: number[]) =>
    () =>
      values.shift() ?? Math.random();
  const leases = await Promise.all([
    acquireLease(store, dual, attributes('192.0.2.1'), undefined, picks(0, 0)),
    acquireLease(store, dual, attributes('192.0.2.2'), undefined, picks(0, 0.5)),
  ]);
  const [a, b] = leases.map((lease) => lease.key.split('&')[0]);
  assert.notEqual(a, b);
  assert.equal((await store.list()).leases.length, 2);
});

test('file store: compare on replace and delete, expiry, junk, links, odd files', async () => {
  const root = await folder();
  const store = new FileStore(root);
  await assert.rejects(store.list(), /check that the directory exists/);
  assert.equal(await store.create('10.3.1.0-24', 'a', 60_000), 'created');
  assert.equal(await store.create('10.3.1.0-24', 'b', 60_000), 'exists');
  const [lease] = (await store.list()).leases;
  assert.ok(lease);
  assert.equal((await store.replace(lease.key, 'c', 60_000, 'other')).ok, false);
  assert.equal((await store.replace(lease.key, 'c', 60_000, lease.revision)).ok, true);
  assert.equal(await store.delete(lease.key, lease.revision), false);
  const subnets = path.join(root, 'subnets');
  await writeFile(path.join(subnets, 'hello'), 'junk');
  await writeFile(path.join(subnets, '10.3.7.0-24'), 'x'.repeat(20_000));
  await symlink('/etc/passwd', path.join(subnets, '10.3.8.0-24'));
  await mkdir(path.join(subnets, '10.3.9.0-24'));
  assert.deepEqual(
    (await store.list()).leases.map((l) => [l.key, l.value]),
    [['10.3.1.0-24', 'c']],
  );
  assert.equal(await store.create('10.3.2.0-24', 'd', -1), 'created');
  assert.equal((await store.list()).leases.length, 1, 'expired at once');
  assert.equal(await store.create('10.3.2.0-24', 'e', 60_000), 'created');
  await assert.rejects(store.create('../config', 'x', undefined), /no lease key/);
});

test('file store: the watch tells of changes, of the store going away and of its return', async () => {
  const root = await folder();
  const store = new FileStore(root);
  await store.create('10.3.1.0-24', 'a', undefined);
  const abort = new AbortController();
  const events: string[] = [];
  let wake = (): void => undefined;
  const until = async (event: string): Promise<void> => {
    while (!events.includes(event)) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  const note = (event: string): void => {
    events.push(event);
    wake();
  };
  store.watch(
    (snapshot) => note(snapshot.leases.map((lease) => lease.value).join()),
    () => note('away'),
    abort.signal,
  );
  await until('a');
  await store.create('10.3.2.0-24', 'b', undefined);
  await until('a,b');
  await rm(path.join(root, 'subnets'), { recursive: true });
  await until('away');
  await store.create('10.3.3.0-24', 'c', undefined);
  await until('c');
  abort.abort();
});

test('peers: own lease, foreign types, bad MACs, foreign VNIs and clashes are left out with a reason', () => {
  const lease = (key: string, ip: string, more: Partial<LeaseAttributes> = {}) => ({
    ...parseKey(key),
    key,
    isPermanent: false,
    revision: '',
    attributes: { ...attributes(ip), ...more },
  });
  const own = lease('10.3.1.0-24', '192.0.2.1');
  const { peers, skipped } = leasesToPeers(
    [
      own,
      lease('10.3.2.0-24', '192.0.2.2'),
      lease('10.3.3.0-24', '192.0.2.3', { backendType: 'host-gw' }),
      lease('10.3.4.0-24', '192.0.2.4', { backendData: { VNI: 9, VtepMAC: '02:00:00:00:00:05' } }),
      lease('10.3.5.0-24', '192.0.2.5', { backendData: 'junk' }),
      lease('10.3.2.128-25', '192.0.2.6'),
      lease('10.9.0.0-24', '192.0.2.7'),
      lease('10.3.8.0-24', '10.3.2.2'),
    ],
    own,
    config,
  );
  assert.deepEqual(
    peers.map((peer) => peer.key),
    ['10.3.2.0-24'],
  );
  assert.equal(skipped.length, 6);
});

test('the guard keeps peers of a wiped store for a while, and removes single ones after a moment', () => {
  const peer = (key: string): Peer => ({
    key,
    family: 4,
    subnet: prefix('10.3.2.0/24'),
    address: words('192.0.2.2'),
    port: 8472,
    mac: { high: 0, low: 0 },
  });
  const all = ['a', 'b', 'c', 'd', 'e'].map(peer);
  const guard = new TableGuard();
  guard.apply(all, true, 0);
  const single = guard.apply(all.slice(1), true, 1);
  assert.deepEqual([single.peers.length, single.againAtMs], [5, 1 + SETTLE_MS]);
  assert.equal(guard.apply(all.slice(1), true, 1 + SETTLE_MS).peers.length, 4);
  assert.equal(guard.apply([], false, 10_000).held, 4);
  assert.equal(guard.apply(all.slice(1, 2), true, 10_001).peers.length, 4);
  assert.equal(guard.apply(all.slice(1, 2), true, 10_000 + GRACE_MS).peers.length, 1);
  const away = new TableGuard();
  away.apply(all, true, 0);
  away.apply(all.slice(1), true, 1);
  away.storeDoubtful(2);
  assert.equal(
    away.apply(all.slice(1), true, 10_000).peers.length,
    5,
    'removed just before the store went away',
  );
});

test('ENV-1, ENV-2 subnet.env to the byte, mode 0644 under any umask, read back leniently', async () => {
  const file = path.join(await folder(), 'run/subnet.env');
  const dual = parseNetworkConfig(
    '{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00::/56","Backend":{"Type":"vxlan"}}',
  );
  const subnets = { subnet4: prefix('10.5.72.0/24'), subnet6: prefix('fd00:0:0:1::/64') };
  const text = formatSubnetEnv(dual, subnets, 1450, false);
  assert.equal(
    text,
    'FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=10.5.72.1/24\nFLANNEL_IPV6_NETWORK=fd00::/56\n' +
      'FLANNEL_IPV6_SUBNET=fd00:0:0:1::1/64\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n',
  );
  const umask = process.umask(0o077);
  await writeFileAtomically(file, text, 0o644);
  process.umask(umask);
  assert.equal((await stat(file)).mode & 0o777, 0o644);
  assert.deepEqual((await readSubnetEnv(file)).subnets, subnets);
  await chmod(file, 0o644);
  await writeFile(file, '# x\nexport FLANNEL_SUBNET="junk, 10.5.9.1/24"\n');
  assert.deepEqual((await readSubnetEnv(file)).subnets, { subnet4: prefix('10.5.9.0/24') });
  await writeFile(file, 'FLANNEL_SUBNET=10.5.9.1/24,10.5.8.1/24\n');
  assert.equal((await readSubnetEnv(file)).subnets, undefined);
});

test('the MAC survives a restart; a broken state file is an empty one', async () => {
  const root = await folder();
  const mac = randomMac();
  assert.equal((mac.high >>> 24) & 3, 2, 'unicast, locally administered');
  await writeState(root, { macs: { 'flannel.1': mac } });
  assert.deepEqual((await readState(root)).macs, { 'flannel.1': mac });
  await writeFile(path.join(root, 'state.json'), '{"macs":3');
  assert.deepEqual((await readState(root)).macs, {});
  assert.equal(await readFile(path.join(root, 'state.json'), 'utf8'), '{"macs":3');
});

const values = (...args: string[]) => {
  const parsed = parseFlags(args, {});
  assert.equal(parsed.kind, 'run');
  return parsed.kind === 'run' ? parsed.values : {};
};

test('FLG-1 every flag: one dash, two dashes, with = and as the next word', () => {
  for (const option of OPTIONS) {
    const text = option.kind === 'number' ? '7' : option.kind === 'bool' ? 'true' : 'x';
    const expected =
      option.kind === 'number'
        ? 7
        : option.kind === 'bool'
          ? true
          : option.kind === 'list'
            ? ['x']
            : 'x';
    assert.deepEqual(values(`-${option.name}=${text}`)[option.name], expected);
    assert.deepEqual(values(`--${option.name}=${text}`)[option.name], expected);
    if (option.kind !== 'bool')
      assert.deepEqual(values(`--${option.name}`, text)[option.name], expected);
  }
  assert.equal(values('-ip-masq', 'false')['ip-masq'], true, 'a boolean takes no separate word');
  assert.deepEqual(values('--iface=a', '-iface', 'b')['iface'], ['a', 'b']);
});

test('FLG-2, FLG-3, FLG-4 environment, renew margin, bad usage', () => {
  const environment = { FLANNELD_SUBNET_FILE: '/x', FLANNELD_PUBLIC_IP: '', FLANNELD_V: 'junk' };
  const parsed = parseFlags(['--subnet-file=/y'], environment);
  assert.ok(parsed.kind === 'run');
  assert.equal(parsed.values['subnet-file'], '/y');
  assert.equal(parsed.values['v'], 0);
  assert.equal(parsed.warnings.length, 1);
  const store = '--store=file:/s';
  for (const bad of ['0', '1440']) {
    assert.throws(() => toSettings(values(store, `--subnet-lease-renew-margin=${bad}`)), {
      exitCode: 1,
    });
  }
  for (const good of ['1', '1439'])
    toSettings(values(store, `--subnet-lease-renew-margin=${good}`));
  assert.throws(() => values('--nonsense=1'), { exitCode: 2, message: /nonsense/ });
  assert.throws(() => values('--workers=x'), { exitCode: 2, message: /workers/ });
  assert.equal(toSettings(values()).store.kind, 'etcd');
  assert.equal(parseFlags(['-h'], {}).kind, 'help');
  assert.equal(parseFlags(['--version'], {}).kind, 'version');
});

test('offload lists', () => {
  assert.equal(parseOffload('auto'), FEATURES_ALL);
  assert.equal(parseOffload('off'), 0);
  assert.equal(parseOffload('auto,-pack'), FEATURES_ALL & ~FEATURE.pack);
  assert.equal(parseOffload('off,batch'), FEATURE.batch);
  assert.throws(() => parseOffload('turbo'), /turbo/);
});
