/** Masquerade and forward rules with real iptables and nft in namespaces of their own: text, healing, and what packets see. */
import assert from 'node:assert/strict';
import { LabScope, type Namespace } from '../../lab/namespace.ts';
import { type Exec, exec } from '../../src/host/exec.ts';
import { createFirewall, removeRules } from '../../src/host/firewall/firewall.ts';
import type { FirewallFamily, FirewallWishes, Flavour } from '../../src/host/firewall/wishes.ts';
import { needs } from '../support/needs.ts';
import { prefix } from '../support/rig.ts';

const { after, afterEach, before, describe, it } = needs('root');

const V4: FirewallFamily = {
  family: 4,
  network: prefix('10.244.0.0/16'),
  subnet: prefix('10.244.1.0/24'),
  device: 'flannel.1',
};
const V6: FirewallFamily = {
  family: 6,
  network: prefix('fd00:244::/48'),
  subnet: prefix('fd00:244:0:1::/64'),
  device: 'flannel-v6.1',
};
const WISHES: FirewallWishes = {
  families: [V4, V6],
  masquerade: true,
  fullyRandom: true,
  forward: true,
  guarded: [
    { protocol: 'udp', port: 8472, underlay: true },
    { protocol: 'tcp', port: 8474, underlay: false },
  ],
};
const NAT4 = [
  '-N FLANNEL-POSTRTG',
  '-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment "flanneld masq" -j RETURN',
  '-A FLANNEL-POSTRTG -s 10.244.1.0/24 -d 10.244.0.0/16 -m comment --comment "flanneld masq" -j RETURN',
  '-A FLANNEL-POSTRTG -s 10.244.0.0/16 -d 10.244.1.0/24 -m comment --comment "flanneld masq" -j RETURN',
  '-A FLANNEL-POSTRTG ! -s 10.244.0.0/16 -d 10.244.1.0/24 -m comment --comment "flanneld masq" -j RETURN',
  '-A FLANNEL-POSTRTG -s 10.244.0.0/16 ! -d 224.0.0.0/4 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully',
  '-A FLANNEL-POSTRTG ! -s 10.244.0.0/16 -d 10.244.0.0/16 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully',
];
const FWD4 = [
  '-N FLANNEL-FWD',
  '-A FLANNEL-FWD -s 10.244.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT',
  '-A FLANNEL-FWD -d 10.244.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT',
];
const GUARD_COMMENT = '-m comment --comment "weft guard of 10.244.0.0/16"';
const GUARD4 = [
  '-N WEFT-GUARD',
  `-A WEFT-GUARD -s 10.244.0.0/16 ! -d 10.244.1.0/24 ! -i weft.+ ! -o flannel.1 -p udp -m udp --dport 8472 ${GUARD_COMMENT} -j DROP`,
  `-A WEFT-GUARD -d 10.244.0.0/255.255.0.255 -p udp -m udp --dport 8472 ${GUARD_COMMENT} -j DROP`,
  `-A WEFT-GUARD -d 10.244.0.0/255.255.0.255 -p tcp -m tcp --dport 8474 ${GUARD_COMMENT} -j DROP`,
];
const GUARD_JUMPS = ['-p udp', '-p tcp -m tcp --dport 8474'].map(
  (match) => `-A FORWARD ${match} -m comment --comment "weft guard" -j WEFT-GUARD`,
);
const toV6 = (lines: string[]): string[] =>
  lines.map((line) =>
    line
      .replaceAll('10.244.0.0/16', 'fd00:244::/48')
      .replaceAll('10.244.0.0/255.255.0.255', 'fd00:244::/ffff:ffff:ffff:0:ffff:ffff:ffff:ffff')
      .replaceAll('flannel.1', 'flannel-v6.1')
      .replaceAll('10.244.1.0/24', 'fd00:244:0:1::/64')
      .replaceAll('224.0.0.0/4', 'ff00::/8'),
  );

function execIn(space: Namespace): Exec {
  return async (command, args, input) =>
    (await space.exec(command, args, input === undefined ? {} : { input })).stdout;
}

describe('netns: firewall rules', () => {
  let scope: LabScope;
  let space: Namespace;
  let run: Exec;
  const lines = async (tool: string, table: string, chain: string): Promise<string[]> =>
    (await run(tool, ['-t', table, '-S', chain])).trim().split('\n');
  const nft = async (family: string, name: string): Promise<string> =>
    run('nft', ['list', 'table', family, name]);

  before(async () => {
    scope = await LabScope.open();
    space = await scope.namespace('fw');
    run = execIn(space);
  });
  afterEach(async () => {
    await run('nft', ['flush', 'ruleset']);
  });
  after(() => scope?.close());

  it('FW-1 iptables: the text of flannel, both families; the jump comes last', async () => {
    await run('iptables', ['-A', 'FORWARD', '-j', 'ACCEPT', '-s', '192.0.2.1']);
    assert.notEqual(await createFirewall('iptables', WISHES, run).ensure(), '');
    assert.deepEqual(await lines('iptables', 'nat', 'FLANNEL-POSTRTG'), NAT4);
    assert.deepEqual(await lines('iptables', 'filter', 'FLANNEL-FWD'), FWD4);
    assert.deepEqual(await lines('ip6tables', 'nat', 'FLANNEL-POSTRTG'), toV6(NAT4));
    assert.deepEqual(await lines('ip6tables', 'filter', 'FLANNEL-FWD'), toV6(FWD4));
    const forward = await lines('iptables', 'filter', 'FORWARD');
    assert.equal(
      forward.at(-1),
      '-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD',
    );
    const post = await lines('iptables', 'nat', 'POSTROUTING');
    assert.deepEqual(post, [
      '-P POSTROUTING ACCEPT',
      '-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG',
    ]);
  });

  it("the guard is beside flannel's rules, and ahead of what others have in mangle", async () => {
    const others = ['-t', 'mangle', '-A', 'FORWARD', '-j', 'ACCEPT'];
    await run('iptables', others);
    await createFirewall('iptables', WISHES, run).ensure();
    assert.deepEqual(await lines('iptables', 'mangle', 'WEFT-GUARD'), GUARD4);
    assert.deepEqual(await lines('ip6tables', 'mangle', 'WEFT-GUARD'), toV6(GUARD4));
    assert.deepEqual(await lines('iptables', 'mangle', 'FORWARD'), [
      '-P FORWARD ACCEPT',
      ...GUARD_JUMPS,
      '-A FORWARD -j ACCEPT',
    ]);
    await createFirewall('nftables', WISHES, run).ensure();
    const wide = 'type filter hook forward priority mangle; policy accept;';
    const table = await run('nft', ['--stateless', 'list', 'table', 'ip', 'flannel-ipv4']);
    const comment = 'comment "weft guard of 10.244.0.0/16"';
    assert.ok(
      table.includes(
        [
          ...['\tchain guard {', '\tcomment "chain to keep pods from the ports of nodes"'],
          `\t${wide}`,
          `\tudp dport 8472 iifname != "weft.*" oifname != "flannel.1" ip saddr 10.244.0.0/16 ip daddr != 10.244.1.0/24 counter drop ${comment}`,
          `\tudp dport 8472 ip daddr & 255.255.0.255 == 10.244.0.0 counter drop ${comment}`,
          `\ttcp dport 8474 ip daddr & 255.255.0.255 == 10.244.0.0 counter drop ${comment}`,
        ].join('\n\t'),
      ),
      table,
    );
  });

  it('without what is guarded there is no guard, and one that an earlier run left goes', async () => {
    for (const flavour of ['iptables', 'nftables'] as const) {
      await createFirewall(flavour, WISHES, run).ensure();
      assert.match(await run('nft', ['list', 'ruleset']), /guard/i);
      await createFirewall(flavour, { ...WISHES, guarded: [] }, run).ensure();
      assert.doesNotMatch(await run('nft', ['list', 'ruleset']), /guard/i);
    }
  });

  it('a host that refuses the guard is masqueraded all the same, and the refusal is told', async () => {
    // As where the kernel lacks what the rules need.
    const refusing: Exec = async (command, args, input) => {
      const isGuard = input?.startsWith('*mangle') === true;
      return run(command, args, isGuard ? input.replaceAll('-j DROP', '-j NOWHERE') : input);
    };
    const firewall = createFirewall('iptables', { ...WISHES, families: [V4] }, refusing);
    await assert.rejects(firewall.ensure(), /NOWHERE/);
    assert.deepEqual(await lines('iptables', 'nat', 'FLANNEL-POSTRTG'), NAT4);
  });

  it('FW-1 iptables: only what is asked for, without fully random ports where not wanted', async () => {
    await createFirewall('iptables', WISHES, run).ensure();
    const some = { ...WISHES, families: [V4], fullyRandom: false, forward: false };
    await createFirewall('iptables', some, run).ensure();
    assert.equal(
      (await lines('iptables', 'nat', 'FLANNEL-POSTRTG')).at(-1),
      NAT4.at(-1)?.replace(' --random-fully', ''),
    );
    await assert.rejects(lines('iptables', 'filter', 'FLANNEL-FWD'));
    assert.deepEqual(await lines('iptables', 'filter', 'FORWARD'), ['-P FORWARD ACCEPT']);
  });

  it("FW-2 nftables: flannel's text but for the fourth rule, which does not hide the sixth", async () => {
    await createFirewall('nftables', WISHES, run).ensure();
    const table = await nft('ip', 'flannel-ipv4');
    assert.match(table, /comment "rules for flannel-ipv4"/);
    assert.match(
      table,
      /chain forward \{\n\t\tcomment "chain to accept flannel traffic"\n\t\ttype filter hook forward priority filter; policy accept;\n\t\tip saddr 10\.244\.0\.0\/16 accept\n\t\tip daddr 10\.244\.0\.0\/16 accept\n/,
    );
    assert.match(
      table,
      /comment "chain to manage traffic masquerading by flannel"\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n\t\tmeta mark 0x00004000 return\n\t\tip saddr 10\.244\.1\.0\/24 ip daddr 10\.244\.0\.0\/16 return\n\t\tip saddr 10\.244\.0\.0\/16 ip daddr 10\.244\.1\.0\/24 return\n\t\tip saddr != 10\.244\.0\.0\/16 ip daddr 10\.244\.1\.0\/24 return\n\t\tip saddr 10\.244\.0\.0\/16 ip daddr != 224\.0\.0\.0\/4 masquerade fully-random\n\t\tip saddr != 10\.244\.0\.0\/16 ip daddr 10\.244\.0\.0\/16 masquerade fully-random\n/,
    );
    assert.match(
      await nft('ip6', 'flannel-ipv6'),
      /ip6 saddr fd00:244:0:1::\/64 ip6 daddr fd00:244::\/48 return/,
    );
  });

  it('FW-3 a rule deleted by hand comes back in its place; a second pass changes nothing', async () => {
    const iptables = createFirewall('iptables', WISHES, run);
    await iptables.ensure();
    assert.equal(await iptables.ensure(), '');
    const damages = [
      ['iptables', '-t', 'nat', '-D', 'FLANNEL-POSTRTG', '3'],
      ['iptables', '-t', 'nat', '-D', 'FLANNEL-POSTRTG', '1'],
      ['iptables', '-t', 'nat', '-D', 'POSTROUTING', '1'],
      ['iptables', '-t', 'nat', '-F', 'FLANNEL-POSTRTG'],
      ['ip6tables', '-D', 'FLANNEL-FWD', '1'],
      ['iptables', '-t', 'mangle', '-D', 'WEFT-GUARD', '2'],
      ['iptables', '-t', 'mangle', '-F'],
      ['ip6tables', '-t', 'mangle', '-D', 'FORWARD', '1'],
    ];
    for (const [tool = '', ...args] of damages) {
      await run(tool, args);
      assert.notEqual(await iptables.ensure(), '', args.join(' '));
      assert.deepEqual(await lines('iptables', 'nat', 'FLANNEL-POSTRTG'), NAT4, args.join(' '));
      assert.deepEqual(await lines('ip6tables', 'filter', 'FLANNEL-FWD'), toV6(FWD4));
      assert.deepEqual(await lines('iptables', 'mangle', 'WEFT-GUARD'), GUARD4, args.join(' '));
      assert.equal((await lines('iptables', 'nat', 'POSTROUTING')).length, 2);
      assert.equal((await lines('ip6tables', 'mangle', 'FORWARD')).length, 3);
      assert.equal(await iptables.ensure(), '');
    }
    await run('iptables', ['-t', 'nat', '-F']);
    await run('iptables', ['-t', 'nat', '-X']);
    await iptables.ensure();
    assert.deepEqual(await lines('iptables', 'nat', 'FLANNEL-POSTRTG'), NAT4);
    const nftables = createFirewall('nftables', WISHES, run);
    await nftables.ensure();
    const before = await nft('ip', 'flannel-ipv4');
    await run('nft', ['flush', 'chain', 'ip', 'flannel-ipv4', 'postrtg']);
    assert.match(await nftables.ensure(), /flannel-ipv4/);
    assert.equal(await nft('ip', 'flannel-ipv4'), before);
    await run('nft', ['flush', 'chain', 'ip', 'flannel-ipv4', 'guard']);
    assert.match(await nftables.ensure(), /flannel-ipv4/);
    assert.equal(await nft('ip', 'flannel-ipv4'), before);
    await run('nft', ['delete', 'table', 'ip', 'flannel-ipv4']);
    assert.match(await nftables.ensure(), /flannel-ipv4/);
    assert.equal(await nftables.ensure(), '');
  });

  it('the one jump to the guard that weft had before gives way to those of the guarded ports', async () => {
    const iptables = createFirewall('iptables', WISHES, run);
    await iptables.ensure();
    const all = '-m comment --comment "weft guard" -j WEFT-GUARD';
    const text = ['*mangle', '-F FORWARD', `-I FORWARD ${all}`, 'COMMIT', ''].join('\n');
    await run('iptables-restore', ['--noflush', '--wait'], text);
    assert.equal(await iptables.ensure(), 'iptables WEFT-GUARD');
    const jumps = await lines('iptables', 'mangle', 'FORWARD');
    assert.deepEqual(jumps, ['-P FORWARD ACCEPT', ...GUARD_JUMPS]);
    assert.equal(await iptables.ensure(), '');
  });

  it('FW-4 rules of an earlier subnet or network go; those of another overlay on this host stay', async () => {
    const other: FirewallFamily = {
      family: 4,
      network: prefix('10.99.0.0/16'),
      subnet: prefix('10.99.7.0/24'),
    };
    for (const flavour of ['iptables', 'nftables'] as const) {
      const neighbour = createFirewall(flavour, { ...WISHES, families: [other] }, run);
      await createFirewall(flavour, WISHES, run).ensure();
      await neighbour.ensure();
      const moved: FirewallFamily = {
        family: 4,
        network: prefix('10.5.0.0/16'),
        subnet: prefix('10.5.9.0/24'),
      };
      const now = createFirewall(
        flavour,
        { ...WISHES, families: [moved], previous: [V4.network, V4.subnet] },
        run,
      );
      await now.ensure();
      const text = [
        ...(flavour === 'iptables'
          ? [
              ...(await lines('iptables', 'nat', 'FLANNEL-POSTRTG')),
              ...(await lines('iptables', 'filter', 'FLANNEL-FWD')),
              ...(await lines('iptables', 'mangle', 'WEFT-GUARD')),
            ]
          : [await nft('ip', 'flannel-ipv4')]),
      ].join('\n');
      assert.doesNotMatch(text, /10\.244\./, flavour);
      assert.match(text, /10\.5\.9\.0\/24/, flavour);
      assert.match(text, /10\.99\.7\.0\/24/, flavour);
      assert.equal(text.match(/mark/g)?.length, flavour === 'iptables' ? 2 : 1, text);
      assert.equal(await neighbour.ensure(), '', 'the two do not fight');
      assert.equal(await now.ensure(), '');
    }
  });

  it('A-10 the other flavour is removed from the right tables, and a missing tool is no error', async () => {
    await createFirewall('iptables', WISHES, run).ensure();
    await createFirewall('nftables', WISHES, run).ensure();
    assert.equal((await removeRules('iptables', run)).length, 6);
    await assert.rejects(lines('iptables', 'filter', 'FLANNEL-FWD'));
    await assert.rejects(lines('iptables', 'mangle', 'WEFT-GUARD'));
    assert.deepEqual(await lines('iptables', 'mangle', 'FORWARD'), ['-P FORWARD ACCEPT']);
    assert.deepEqual(await lines('iptables', 'nat', 'POSTROUTING'), ['-P POSTROUTING ACCEPT']);
    assert.equal((await removeRules('nftables', run)).length, 2);
    assert.doesNotMatch(await run('nft', ['list', 'ruleset']), /flannel/i);
    assert.deepEqual(await removeRules('iptables', run), []);
    const nothing: Exec = (command, args) => exec(`${command}-of-nowhere`, args);
    assert.deepEqual(await removeRules('iptables', nothing), []);
    assert.deepEqual(await removeRules('nftables', nothing), []);
    await assert.rejects(createFirewall('iptables', WISHES, nothing).ensure(), /command not found/);
  });
});

/**
 * outside -- node -- pod (10.244.1.2), and a veth that stands for the overlay with a remote pod (10.244.2.2) behind it.
 * Each end answers with the source address it saw.
 */
describe('netns: firewall semantics', () => {
  let scope: LabScope;
  const space: Record<string, Namespace> = {};
  const at = (name: string): Namespace => space[name] as Namespace;
  const ENDS = {
    pod: { node: '10.244.1.1/24', own: '10.244.1.2/24', route: 'default', via: '10.244.1.1' },
    remote: { node: '10.244.2.1/24', own: '10.244.2.2/24', route: 'default', via: '10.244.2.1' },
    outside: { node: '192.0.2.1/24', own: '192.0.2.2/24', route: 'default', via: '192.0.2.1' },
  };

  before(async () => {
    scope = await LabScope.open();
    for (const name of ['node', ...Object.keys(ENDS)]) space[name] = await scope.namespace(name);
    await at('node').sysctl({ 'net/ipv4/ip_forward': 1 });
    for (const [name, end] of Object.entries(ENDS)) {
      const peer = at(name);
      await at('node').ip(
        'link',
        'add',
        `to-${name}`,
        'type',
        'veth',
        'peer',
        'name',
        'eth0',
        'netns',
        peer.name,
      );
      await at('node').ip('addr', 'add', end.node, 'dev', `to-${name}`);
      await at('node').ip('link', 'set', `to-${name}`, 'up');
      await peer.ip('addr', 'add', end.own, 'dev', 'eth0');
      await peer.ip('link', 'set', 'eth0', 'up');
      await peer.ip('route', 'add', end.route, 'via', end.via);
    }
  });
  after(() => scope?.close());

  /** The source address that `to` sees of a datagram from `from`. */
  const seenFrom = async (from: string, to: string, address: string): Promise<string> => {
    const script = `const s = require('node:dgram').createSocket({ type: 'udp4', reuseAddr: true });
      s.on('message', (_, r) => { console.log('from ' + r.address); s.close(); });
      s.bind(7777, () => { try { s.addMembership('239.1.1.1', process.argv[1] || undefined); } catch {} console.log('listening'); });
      setTimeout(() => process.exit(1), 30_000).unref();`;
    const own = ENDS[to as keyof typeof ENDS].own.split('/')[0] as string;
    const sink = at(to).spawn(process.execPath, ['-e', script, own]);
    await sink.waitForOutput(/listening/);
    const send = `const s = require('node:dgram').createSocket('udp4');
      s.bind(0, () => { s.setMulticastTTL(8); s.send('x', 7777, '${address}', () => s.close()); });`;
    await at(from).exec(process.execPath, ['-e', send]);
    const [, source = ''] = await sink.waitForOutput(/from ([\d.]+)/);
    await sink.kill();
    return source;
  };

  for (const flavour of ['iptables', 'nftables'] as Flavour[]) {
    it(`FW-5 ${flavour}: who is masqueraded and who is not, under a FORWARD policy of DROP`, async () => {
      const run = execIn(at('node'));
      await run('nft', ['flush', 'ruleset']);
      if (flavour === 'iptables') await run('iptables', ['-P', 'FORWARD', 'DROP']);
      await createFirewall(flavour, { ...WISHES, families: [V4] }, run).ensure();
      assert.equal(await seenFrom('pod', 'outside', '192.0.2.2'), '192.0.2.1', 'pod to outside');
      assert.equal(
        await seenFrom('pod', 'remote', '10.244.2.2'),
        '10.244.1.2',
        'pod to remote pod',
      );
      assert.equal(
        await seenFrom('outside', 'pod', '10.244.1.2'),
        '192.0.2.2',
        'outside to local pod',
      );
      assert.equal(
        await seenFrom('outside', 'remote', '10.244.2.2'),
        '10.244.2.1',
        'outside to remote pod',
      );
      // The host's own packet to a remote pod, sent from an address that is not of the overlay.
      await at('node').ip(
        'route',
        'replace',
        '10.244.2.0/24',
        'dev',
        'to-remote',
        'src',
        '192.0.2.1',
      );
      assert.equal(
        await seenFrom('node', 'remote', '10.244.2.2'),
        '10.244.2.1',
        'host to remote pod',
      );
      await at('node').ip(
        'route',
        'replace',
        '10.244.2.0/24',
        'dev',
        'to-remote',
        'src',
        '10.244.2.1',
      );
    });
  }

  it('FW-5 multicast from the overlay keeps its address', async () => {
    for (const flavour of ['iptables', 'nftables'] as const) {
      const run = execIn(at('node'));
      await run('nft', ['flush', 'ruleset']);
      await createFirewall(flavour, { ...WISHES, families: [V4] }, run).ensure();
      await at('node').ip(
        'route',
        'replace',
        '239.0.0.0/8',
        'dev',
        'to-outside',
        'src',
        '10.244.1.1',
      );
      await at('outside').ip('route', 'replace', '239.0.0.0/8', 'dev', 'eth0');
      await at('outside').sysctl({
        'net/ipv4/conf/all/rp_filter': 0,
        'net/ipv4/conf/eth0/rp_filter': 0,
      });
      assert.equal(await seenFrom('node', 'outside', '239.1.1.1'), '10.244.1.1', flavour);
    }
  });
});
