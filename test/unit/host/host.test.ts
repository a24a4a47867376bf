/** Interface choice and device checks on canned `ip -j` output. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configureDevice, queuePackets } from '../../../src/host/device.ts';
import { type Exec, exec, isMissingCommand } from '../../../src/host/exec.ts';
import {
  findExternalInterface,
  type InterfaceWishes,
  keepExternalInterface,
  lookAtLinks,
} from '../../../src/host/external-interface.ts';
import { ADDRESSED_LINK, ipJson, LINK, parseIpJson, ROUTE } from '../../../src/host/ip-json.ts';
import { checkDevices, findPortHolder } from '../../../src/host/preflight.ts';
import {
  formatAddress,
  type Prefix,
  parseAddress,
  parsePrefix,
  type Words,
} from '../../../src/shared/address.ts';
import { messageOf } from '../../../src/shared/errors.ts';

const address = (family: string, local: string, more: object = {}) => ({
  family,
  local,
  prefixlen: 24,
  scope: 'global',
  ...more,
});
const link = (ifname: string, more: object = {}) => ({
  ifindex: 1,
  ifname,
  flags: ['UP'],
  mtu: 1500,
  ...more,
});
const LINKS = [
  link('lo', { mtu: 65536, addr_info: [address('inet', '127.0.0.1', { scope: 'host' })] }),
  link('eth0', {
    addr_info: [
      address('inet', '192.0.2.9', { dynamic: true }),
      address('inet', '192.0.2.5'),
      address('inet6', 'fe80::1', { scope: 'link' }),
      address('inet6', '2001:db8::7', { deprecated: true }),
      address('inet6', '2001:db8::8', { temporary: true }),
      address('inet6', '2001:db8::9'),
    ],
  }),
  link('eth1', { mtu: 9000, addr_info: [address('inet', '198.51.100.1')] }),
  link('bare0', { addr_info: [] }),
];

/** `ip` with canned answers by the words behind -j. */
function fakeIp(answers: Record<string, unknown>): Exec {
  return async (command, args) => {
    assert.equal(command, 'ip');
    const text = JSON.stringify(answers[args.slice(1).join(' ')]);
    assert.ok(text, `unexpected: ip ${args.join(' ')}`);
    return text;
  };
}

const ANSWERS = {
  '-d addr show': LINKS,
  '-4 route show default': [{ dst: 'default', dev: 'eth0', prefsrc: '192.0.2.9' }],
  '-6 route show default': [{ dst: 'default', dev: 'eth0' }],
  'route get 203.0.113.1': [{ dst: '203.0.113.1', dev: 'eth1', prefsrc: '198.51.100.1' }],
};

async function choose(wishes: Partial<InterfaceWishes>, answers: object = {}) {
  const all: InterfaceWishes = {
    interfaces: [],
    patterns: [],
    canReach: '',
    publicIp: '',
    publicIpv6: '',
    wants4: true,
    wants6: false,
    podSubnets: [],
    ...wishes,
  };
  const run = fakeIp({ ...ANSWERS, ...answers });
  const found = await findExternalInterface(all, await lookAtLinks(run), run);
  const text = (words: Words | undefined): string | undefined => words && formatAddress(words);
  return {
    ...found,
    address4: text(found.address4),
    address6: text(found.address6),
    public4: text(found.public4),
  };
}

test('the default route decides; permanent addresses come before dynamic ones', async () => {
  const found = await choose({});
  assert.deepEqual([found.name, found.mtu, found.address4], ['eth0', 1500, '192.0.2.5']);
  assert.equal(found.public4, '192.0.2.5');
  assert.equal((await choose({ wants6: true })).address6, '2001:db8::9');
});

test('--iface takes names and addresses in order; an address is the one that is used', async () => {
  assert.equal((await choose({ interfaces: ['none0', 'eth1', 'eth0'] })).name, 'eth1');
  assert.equal((await choose({ interfaces: ['192.0.2.9'] })).address4, '192.0.2.9');
  const six = await choose({ interfaces: ['2001:DB8:0::8'], wants4: false, wants6: true });
  assert.equal(six.address6, '2001:db8::8');
  await assert.rejects(choose({ interfaces: ['none0'] }), /no interface matches none0.*eth1/);
  await assert.rejects(choose({ interfaces: ['bare0'] }), /bare0 has no IPv4 address/);
  await assert.rejects(choose({ interfaces: ['eth1'], wants6: true }), /eth1 has no IPv6 address/);
});

test('--iface-regex matches addresses, then names, after --iface', async () => {
  assert.equal((await choose({ patterns: [/^198\.51\./] })).name, 'eth1');
  assert.equal((await choose({ patterns: [/^192\.0\.2\.5$/] })).address4, '192.0.2.5');
  assert.equal((await choose({ patterns: [/^none/, /^eth1$/] })).name, 'eth1');
  assert.equal((await choose({ interfaces: ['eth0'], patterns: [/^eth1$/] })).name, 'eth0');
  await assert.rejects(choose({ patterns: [/^none/] }), /no interface matches \/\^none\//);
});

test('--iface-can-reach takes the interface and source of the route', async () => {
  const found = await choose({ canReach: '203.0.113.1' });
  assert.deepEqual([found.name, found.address4], ['eth1', '198.51.100.1']);
});

test('--public-ip chooses the interface that has it, and may be foreign when --iface is given', async () => {
  assert.equal((await choose({ publicIp: '198.51.100.1' })).name, 'eth1');
  const natted = await choose({ publicIp: '203.0.113.50', interfaces: ['eth1'] });
  assert.deepEqual([natted.address4, natted.public4], ['198.51.100.1', '203.0.113.50']);
  await assert.rejects(choose({ publicIp: '203.0.113.50' }), /no interface matches/);
  await assert.rejects(choose({ publicIp: 'junk' }), { exitCode: 2, message: /public-ip/ });
});

const SEEN = LINKS.map((each) => ADDRESSED_LINK.parse({ addr_info: [], ...each }));
const WISHES: InterfaceWishes = {
  interfaces: [],
  patterns: [],
  canReach: '',
  publicIp: '',
  publicIpv6: '',
  wants4: true,
  wants6: false,
  podSubnets: [],
};
const inUse = (address4: string) => ({
  name: 'eth0',
  mtu: 1500,
  reason: 'it was so',
  address4: parseAddress(address4) as Words,
});

test('an address in use is kept while an interface has it, whatever the interface is called now', () => {
  const kept = keepExternalInterface(inUse('192.0.2.9'), WISHES, SEEN);
  assert.deepEqual(
    [kept?.name, kept?.address4 && formatAddress(kept.address4), kept?.reason],
    ['eth0', '192.0.2.9', 'it was so'],
  );
  const renamed = SEEN.map((each) => ({ ...each, ifname: `new-${each.ifname}` }));
  assert.equal(keepExternalInterface(inUse('192.0.2.9'), WISHES, renamed)?.name, 'new-eth0');
  assert.equal(keepExternalInterface(inUse('192.0.2.66'), WISHES, SEEN), undefined);
});

test('an address in use is given up when it is deprecated or another node answers to it', () => {
  for (const flag of ['deprecated', 'dadfailed']) {
    const leaving = SEEN.map((each) => ({
      ...each,
      addr_info: each.addr_info.map((a) => (a.local === '192.0.2.9' ? { ...a, [flag]: true } : a)),
    }));
    assert.equal(keepExternalInterface(inUse('192.0.2.9'), WISHES, leaving), undefined, flag);
  }
});

test('both addresses of a dual-stack node are kept together', () => {
  const dual = { ...WISHES, wants6: true };
  const address6 = parseAddress('2001:db8::8') as Words;
  const kept = keepExternalInterface({ ...inUse('192.0.2.5'), address6 }, dual, SEEN);
  assert.equal(kept?.address6 && formatAddress(kept.address6), '2001:db8::8');
  const gone = parseAddress('2001:db8::66') as Words;
  assert.equal(
    keepExternalInterface({ ...inUse('192.0.2.5'), address6: gone }, dual, SEEN),
    undefined,
  );
  const ignored = keepExternalInterface({ ...inUse('192.0.2.5'), address6: gone }, WISHES, SEEN);
  assert.deepEqual([ignored?.name, ignored?.address6], ['eth0', undefined], 'IPv4 only');
});

test('devices of the overlay, the loopback and bridges of pods are never the underlay', async () => {
  const more = [
    ...LINKS,
    link('flannel.1', { addr_info: [address('inet', '10.244.3.0')] }),
    link('flannel-v6.1', { addr_info: [address('inet', '10.244.3.9')] }),
    link('flannel0', { addr_info: [address('inet', '10.244.4.0')] }),
    link('cni0', { addr_info: [address('inet', '10.244.3.1')] }),
  ];
  const podSubnets = [parsePrefix('10.244.3.0/24') as Prefix];
  const answers = {
    '-d addr show': more,
    'route get 10.244.3.7': [{ dst: '10.244.3.7', dev: 'cni0', prefsrc: '10.244.3.1' }],
  };
  const never = (wishes: Partial<InterfaceWishes>, why: RegExp) =>
    assert.rejects(choose({ podSubnets, ...wishes }, answers), why);
  for (const name of ['flannel.1', 'flannel-v6.1', 'flannel0'])
    await never({ interfaces: [name] }, /device of the overlay itself/);
  await never({ patterns: [/^flannel/] }, /device of the overlay itself/);
  await never({ interfaces: ['cni0'] }, /cni0 has no IPv4 address/);
  await never({ interfaces: ['10.244.3.1'] }, /no interface matches 10\.244\.3\.1/);
  await never({ interfaces: ['lo'] }, /lo has no IPv4 address/);
  await never({ canReach: '10.244.3.7' }, /cni0/);
  assert.equal((await choose({ podSubnets, patterns: [/^(10|198)\./] }, answers)).name, 'eth1');
});

test('no default route is said', async () => {
  await assert.rejects(choose({}, { '-4 route show default': [] }), /no IPv4 default route/);
});

const vxlan = (ifname: string, port: number, flags: string[]) =>
  link(ifname, { flags, linkinfo: { info_kind: 'vxlan', info_data: { port } } });

test('a device of our name is named before anything is changed', async () => {
  const check = (links: object[], ...held: string[]) =>
    checkDevices(
      ['flannel.1'],
      8472,
      new Set(held),
      fakeIp({ '-d link show': links, '-d link show type vxlan': [] }),
    );
  assert.deepEqual(await check([link('eth0')]), []);
  const left = { ...vxlan('flannel.1', 8472, ['UP']), address: '02:00:00:00:00:09' };
  assert.deepEqual(
    await check([left]),
    [{ name: 'flannel.1', mac: '02:00:00:00:00:09' }],
    "a stock flannel's device is taken over",
  );
  const dummy = link('flannel.1', { linkinfo: { info_kind: 'dummy' } });
  await assert.rejects(check([dummy]), {
    code: 'ERR_TUN_BUSY',
    message: /dummy device.*ip link delete flannel\.1/,
  });
  const tun = (numqueues: number, type = 'tun') =>
    link('flannel.1', {
      linkinfo: { info_kind: 'tun', info_data: { type, multi_queue: true, numqueues } },
    });
  await assert.rejects(check([tun(1)]), /another weftd runs here/);
  assert.deepEqual(await check([tun(1)], 'flannel.1'), [], 'we hold a queue of it');
  assert.deepEqual(await check([tun(0)]), [], 'a weftd left it');
  await assert.rejects(check([tun(0, 'tap')]), /of another make.*ip link delete flannel\.1/);
});

test('a flanneld that is alive keeps its device and its port; a weftd of another network is none of its business', async () => {
  const process = { pid: 77, name: 'flanneld', command: 'flanneld --ip-masq', sharesNetwork: true };
  const check = (links: object[], holders: object[] = []) =>
    checkDevices(
      ['flannel.1'],
      8472,
      new Set(),
      fakeIp({ '-d link show': links, '-d link show type vxlan': holders }),
      async () => process,
    );
  const refused = {
    code: 'ERR_OTHER_FLANNEL',
    exitCode: 78,
    message: /process 77 \(flanneld --ip/,
  };
  const stock = vxlan('flannel.1', 8472, ['UP']);
  await assert.rejects(check([stock]), refused);
  await assert.rejects(check([], [vxlan('flannel.2', 8472, ['UP'])]), refused);
  const ofUdp = { info_kind: 'tun', info_data: { type: 'tun' } };
  await assert.rejects(check([link('flannel.1', { linkinfo: ofUdp })]), refused);
  const info_data = { type: 'tun', multi_queue: true, numqueues: 1 };
  const weft = link('flannel.1', { linkinfo: { info_kind: 'tun', info_data } });
  await assert.rejects(check([weft]), /another weftd runs here/);
  assert.deepEqual(await check([link('eth0')]), []);
});

test('the kernel vxlan device that holds the port is named, a device that is down holds none', async () => {
  const links = [vxlan('a', 4789, ['UP']), vxlan('b', 8472, []), vxlan('cilium', 8472, ['UP'])];
  const run = fakeIp({ '-d link show type vxlan': links, '-d link show': links });
  assert.match((await findPortHolder(8472, run)) ?? '', /cilium.*ip link delete cilium/);
  assert.equal(await findPortHolder(8473, run), undefined);
  await assert.rejects(checkDevices(['flannel.1'], 8472, new Set(), run), {
    code: 'ERR_PORT_TAKEN',
  });
});

test('a device that is right is not touched; of another only what is wrong is changed', async () => {
  const commands = async (present: object): Promise<string> => {
    let batch = '';
    const run: Exec = async (_command, args, input) => {
      if (args[0] === '-batch') batch = input ?? '';
      return args[0] === '-j' ? JSON.stringify([link('nosuch.1', present)]) : '';
    };
    const setup = { name: 'nosuch.1', family: 4, mtu: 1450, queuePackets: 4000 } as const;
    const addon = { setInet: () => -1 };
    await configureDevice({ ...setup, address: parseAddress('10.244.7.0') as Words }, addon, run);
    return batch;
  };
  const right = {
    mtu: 1450,
    txqlen: 4000,
    flags: ['UP'],
    addr_info: [{ ...address('inet', '10.244.7.0'), prefixlen: 32 }],
  };
  assert.equal(await commands(right), '');
  const stale = { ...right, addr_info: [{ ...address('inet', '10.244.9.0'), prefixlen: 32 }] };
  assert.equal(
    await commands(stale),
    'addr del 10.244.9.0/32 dev nosuch.1\naddr add 10.244.7.0/32 dev nosuch.1\n',
  );
  assert.equal(
    await commands({
      mtu: 1500,
      txqlen: 500,
      flags: [],
      addr_info: [],
      inet6_addr_gen_mode: 'eui64',
    }),
    [
      'link set dev nosuch.1 addrgenmode none',
      'link set dev nosuch.1 mtu 1450',
      'link set dev nosuch.1 txqueuelen 4000',
      'addr add 10.244.7.0/32 dev nosuch.1',
      'link set dev nosuch.1 up\n',
    ].join('\n'),
  );
});

test('queues are long where there is memory for it', () => {
  const GB = 2 ** 30;
  assert.equal(queuePackets(1, 'at once', GB / 2), 1000);
  assert.equal(queuePackets(2, 'at once', 8 * GB), 4096);
  assert.equal(queuePackets(2, 'at once', 64 * GB), 8000);
  assert.equal(queuePackets(1, 'a new pod', GB / 2), 1024);
  assert.equal(queuePackets(2, 'a new pod', 16 * GB), 16_384);
  assert.equal(queuePackets(2, 'a new pod', 64 * GB), 24_000);
});

test('a command that the host does not have is told from one that fails, and its package is named', async () => {
  const failureOf = (command: string, ...args: string[]): Promise<unknown> =>
    exec(command, args).catch((error: unknown) => error);
  const missing = await failureOf('command-of-nowhere', '-x');
  assert.ok(isMissingCommand(missing));
  assert.equal(
    messageOf(missing),
    'command-of-nowhere -x: command not found; install it (Debian package command-of-nowhere)',
  );
  const failed = await failureOf('sh', '-c', 'echo command not found >&2; exit 1');
  assert.ok(!isMissingCommand(failed));
  assert.match(messageOf(failed), /^sh -c .*: command not found$/);
});

test('what ip prints is checked where it comes in: a missing field is named, others are ignored', async () => {
  const parse = (...answers: object[]) =>
    ipJson(LINK, ['link', 'show'], async () => JSON.stringify(answers));
  const eth0 = { ifindex: 2, ifname: 'eth0', flags: ['UP'], mtu: 1500 };
  assert.deepEqual(await parse({ ...eth0, qdisc: 'fq', promiscuity: 1 }), [eth0]);
  assert.deepEqual(
    await parse({}, eth0),
    [eth0],
    'older releases leave {} for what is filtered out',
  );
  const { mtu: _, ...withoutMtu } = eth0;
  await assert.rejects(parse(eth0, withoutMtu), {
    code: 'ERR_COMMAND_ANSWER',
    exitCode: 71,
    message: /^ip link show: its answer is not understood: 1\.mtu: /,
  });
  const kind = { info_kind: 'geneve', info_data: { port: 'none', numqueues: 'many' } };
  assert.equal((await parse({ ...eth0, linkinfo: kind })).length, 1, "another kind's fields");
});

test('what is no list of objects is refused, nothing at all is an empty list', () => {
  assert.deepEqual(parseIpJson(ROUTE, ' \n', 'ip route'), []);
  for (const text of ['[{"dst":"default"}', '{"dst":"default"}', '["default"]', '[null, 5]'])
    assert.throws(() => parseIpJson(ROUTE, text, 'ip route'), { code: 'ERR_COMMAND_ANSWER' }, text);
});

test("this host's own ip is understood", async () => {
  const links = await ipJson(ADDRESSED_LINK, ['-d', 'addr', 'show']);
  const loopback = links.find(({ ifname }) => ifname === 'lo');
  assert.ok(loopback?.flags.includes('LOOPBACK'));
  const [route] = await ipJson(ROUTE, ['route', 'get', '127.0.0.1']);
  assert.deepEqual([route?.dst, route?.dev], ['127.0.0.1', 'lo']);
});
