/** Sample packets on their way through rules, as the real tools print them: iptables-save 1.8.9 and nft 1.0.6. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { tablesOfSave } from '../../../src/cli/doctor/firewall/iptables-save.ts';
import { judgeWalks } from '../../../src/cli/doctor/firewall/judge.ts';
import { ruleKey, tablesOfNft } from '../../../src/cli/doctor/firewall/nft-json.ts';
import { readNftText } from '../../../src/cli/doctor/firewall/nft-text.ts';
import { FRESH, type Packet, stopsOf } from '../../../src/cli/doctor/firewall/packet.ts';
import { mergeTables } from '../../../src/cli/doctor/firewall/read.ts';
import type { Table } from '../../../src/cli/doctor/firewall/ruleset.ts';
import { walk } from '../../../src/cli/doctor/firewall/walk.ts';
import { parseAddress, type Words } from '../../../src/shared/address.ts';

const words = (text: string): Words => parseAddress(text) as Words;
const POD: Packet = {
  ...FRESH,
  what: 'TCP from a pod into the overlay',
  family: 4,
  from: words('10.244.1.2'),
  to: words('10.244.2.2'),
  isFromLocal: false,
  isToLocal: false,
  protocol: 'tcp',
  port: 49_876,
  inDevice: 'cni0',
  outDevice: 'flannel.1',
  stops: stopsOf('forward', true, false),
};
const POD6: Packet = { ...POD, family: 6, from: words('fd00:1::2'), to: words('fd00:2::2') };
const TUNNEL: Packet = {
  ...FRESH,
  what: 'what a peer sends',
  family: 4,
  from: words('192.0.2.2'),
  to: words('192.0.2.1'),
  isFromLocal: false,
  isToLocal: true,
  protocol: 'udp',
  port: 8472,
  inDevice: 'eth0',
  outDevice: '',
  stops: stopsOf('input', false, false),
};

function filter(...lines: string[]): string {
  const chains = [':INPUT ACCEPT [0:0]', ':FORWARD ACCEPT [0:0]', ':OUTPUT ACCEPT [0:0]'];
  return ['*filter', ...chains, ...lines, 'COMMIT', ''].join('\n');
}
const iptables = (text: string, family: 'ip' | 'ip6' = 'ip'): Table[] =>
  tablesOfSave(text, family, family === 'ip' ? 'iptables' : 'ip6tables');

/** "accepted", or "dropped", "unknown" with the rule. */
function fate(tables: readonly Table[], packet: Packet): string {
  const verdict = walk(tables, packet);
  if (verdict.kind === 'accepted') return 'accepted';
  return `${verdict.kind}: ${verdict.by.rule?.text ?? `policy of ${verdict.by.chain.name}`}`;
}

describe('walk: one rule of iptables ahead of everything', () => {
  const pod: [rule: string, end: 'accepted' | 'dropped' | 'unknown'][] = [
    ['-A FORWARD -j REJECT --reject-with icmp-port-unreachable', 'dropped'],
    ['-A FORWARD -i cni0 -j DROP', 'dropped'],
    ['-A FORWARD -i eth0 -j DROP', 'accepted'],
    ['-A FORWARD ! -i eth0 -j DROP', 'dropped'],
    ['-A FORWARD -i cni+ -o flannel+ -j DROP', 'dropped'],
    ['-A FORWARD ! -o flannel.1 -j DROP', 'accepted'],
    ['-A FORWARD -s 10.244.0.0/16 -j DROP', 'dropped'],
    ['-A FORWARD ! -s 10.244.0.0/16 -j DROP', 'accepted'],
    ['-A FORWARD -d 10.244.2.2/32 -j DROP', 'dropped'],
    ['-A FORWARD -d 10.244.0.2/255.255.0.255 -j DROP', 'dropped'],
    ['-A FORWARD -d 10.244.0.3/255.255.0.255 -j DROP', 'accepted'],
    ['-A FORWARD -p tcp -m tcp --dport 80 -j DROP', 'accepted'],
    ['-A FORWARD -p udp -j DROP', 'accepted'],
    ['-A FORWARD -p tcp -m multiport --dports 22,49000:50000 -j DROP', 'dropped'],
    ['-A FORWARD -p udp -m multiport --dports 8472,53 -j DROP', 'accepted'],
    ['-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j DROP', 'accepted'],
    ['-A FORWARD -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP', 'dropped'],
    ['-A FORWARD -m conntrack --ctstate INVALID -j DROP', 'accepted'],
    ['-A FORWARD -m state --state NEW -j DROP', 'dropped'],
    ['-A FORWARD -m mark --mark 0x8000/0x8000 -j DROP', 'accepted'],
    ['-A FORWARD -m mark ! --mark 0x4000/0x4000 -j DROP', 'dropped'],
    ['-A FORWARD -m addrtype --dst-type LOCAL -j DROP', 'accepted'],
    ['-A FORWARD -m addrtype ! --dst-type LOCAL -j DROP', 'dropped'],
    [
      '-A FORWARD -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m state --state NEW -j DROP',
      'accepted',
    ],
    ['-A FORWARD -m iprange --src-range 10.244.1.0-10.244.1.9 -j DROP', 'dropped'],
    ['-A FORWARD -m comment --comment "a -j ACCEPT \\" b" -j DROP', 'dropped'],
    ['-A FORWARD -m rpfilter --invert -j DROP', 'accepted'],
    ['-A FORWARD -j LOG --log-prefix "x -j DROP "', 'accepted'],
    ['-A FORWARD -m set --match-set bad src -j DROP', 'unknown'],
    ['-A FORWARD -i eth0 -m set --match-set bad src -j DROP', 'accepted'],
    ['-A FORWARD -m string --string "abc" --algo bm -j DROP', 'unknown'],
    ['-A FORWARD -m limit --limit 3/min -j LOG', 'accepted'],
    ['-A FORWARD -j NFQUEUE --queue-num 1', 'unknown'],
  ];
  for (const [rule, end] of pod)
    it(`${end}: ${rule}`, () => {
      const text = fate(iptables(filter(rule)), POD);
      assert.equal(text, end === 'accepted' ? end : `${end}: ${rule}`);
    });
});

describe('walk: chains', () => {
  it('a rule behind the accept of our chain does not count, one ahead of the jump does', () => {
    const ours = [
      ':FLANNEL-FWD - [0:0]',
      '-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD',
      '-A FLANNEL-FWD -s 10.244.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT',
    ];
    const reject = '-A FORWARD -j REJECT --reject-with icmp-port-unreachable';
    assert.equal(fate(iptables(filter(...ours, reject)), POD), 'accepted');
    const [chain = '', ...rest] = ours;
    assert.equal(fate(iptables(filter(chain, reject, ...rest)), POD), `dropped: ${reject}`);
  });

  it('what filter accepts mangle may still drop, and raw drops first', () => {
    const mangle = '-A FORWARD -i cni0 -j DROP';
    const raw = '-A PREROUTING -s 10.0.0.0/8 -j DROP';
    const text = filter('-A FORWARD -j ACCEPT');
    const withMangle = `${text}*mangle\n:FORWARD ACCEPT [0:0]\n${mangle}\nCOMMIT\n`;
    assert.equal(fate(iptables(withMangle), POD), `dropped: ${mangle}`);
    const withRaw = `${withMangle}*raw\n:PREROUTING ACCEPT [0:0]\n${raw}\nCOMMIT\n`;
    assert.equal(fate(iptables(withRaw), POD), `dropped: ${raw}`);
    assert.equal(fate(iptables(withRaw, 'ip6'), POD), 'accepted', 'not its family');
  });

  it('policy DROP counts unless the packet was accepted before, also where only answers are', () => {
    const drop = (...lines: string[]): Table[] =>
      iptables(filter(...lines).replace('INPUT ACCEPT', 'INPUT DROP'));
    const answers = '-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT';
    assert.equal(fate(drop(answers), TUNNEL), 'dropped: policy of INPUT');
    assert.equal(
      fate(drop('-A INPUT -p udp -m udp --dport 53 -j ACCEPT'), TUNNEL),
      'dropped: policy of INPUT',
    );
    assert.equal(
      fate(drop(answers, '-A INPUT -p udp -m udp --dport 8472 -j ACCEPT'), TUNNEL),
      'accepted',
    );
    assert.equal(fate(drop(), POD), 'accepted');
    assert.equal(
      fate(drop('-A INPUT -m recent --name x --rcheck -j ACCEPT'), TUNNEL),
      'unknown: policy of INPUT',
    );
  });

  it('return goes back, goto does not, and an unknown chain may do anything', () => {
    const last = '-A FORWARD -j DROP';
    const chain = (how: string): string[] => [
      ':other - [0:0]',
      `-A FORWARD ${how} other`,
      last,
      '-A other -i cni0 -j RETURN',
      '-A other -j ACCEPT',
    ];
    assert.equal(fate(iptables(filter(...chain('-j'))), POD), `dropped: ${last}`);
    assert.equal(fate(iptables(filter(...chain('-g'))), POD), 'accepted');
    assert.equal(fate(iptables(filter(...chain('-j'))), { ...POD, inDevice: 'x' }), 'accepted');
    const foreign = '-A FORWARD -j MYTARGET --what 3';
    assert.equal(fate(iptables(filter(foreign)), POD), `unknown: ${foreign}`);
  });

  it('a mark that one rule sets is what the next one sees', () => {
    const set = '-A FORWARD -j MARK --set-xmark 0x10000/0x10000';
    const accept = '-A FORWARD -m mark --mark 0x10000/0x10000 -j ACCEPT';
    const last = '-A FORWARD -j DROP';
    assert.equal(fate(iptables(filter(set, accept, last)), POD), 'accepted');
    assert.equal(fate(iptables(filter(accept, last)), POD), `dropped: ${last}`);
    const maybe = set.replace('-j', '-m set --match-set x src -j');
    assert.equal(fate(iptables(filter(maybe, accept, last)), POD), `unknown: ${last}`);
  });

  it('many ways that meet again end the walk, not the doctor', () => {
    const lines = Array.from({ length: 40 }, (_, i) => `:c${i} - [0:0]`);
    lines.push('-A FORWARD -j c0');
    for (let i = 0; i < 39; i++) lines.push(`-A c${i} -j c${i + 1}`, `-A c${i} -j c${i + 1}`);
    lines.push('-A c39 -p udp -j RETURN');
    assert.match(fate(iptables(filter(...lines)), POD), /^unknown/);
  });
});

describe('walk: rules of nft', () => {
  /** One rule in a forward chain, with the sets of its table. */
  function nft(
    expr: unknown[],
    policy = 'accept',
    family = 'inet',
    hook = 'forward',
    prio = 0,
  ): Table[] {
    const own = { family, table: 't' };
    const set = {
      ...own,
      name: 's',
      type: 'ipv4_addr',
      elem: [{ prefix: { addr: '10.0.0.0', len: 8 } }, '192.0.2.7'],
    };
    const cat = { ...own, name: 'cat', elem: [{ concat: ['10.244.1.2', 49876] }] };
    const map = {
      ...own,
      name: 'v',
      map: 'verdict',
      elem: [
        ['lo', { accept: null }],
        ['cni0', { jump: { target: 'a' } }],
      ],
    };
    const objects = [
      { table: { family, name: 't', handle: 1 } },
      { set },
      { set: cat },
      { map },
      { chain: { ...own, name: 'a', handle: 2 } },
      { chain: { ...own, name: 'f', handle: 3, type: 'filter', hook, prio, policy } },
      {
        rule: {
          ...own,
          chain: 'a',
          handle: 4,
          expr: [{ counter: { packets: 0, bytes: 0 } }, { drop: null }],
        },
      },
      { rule: { ...own, chain: 'f', handle: 5, expr } },
    ];
    const texts = new Map([
      [ruleKey(`${family} t f`, 5), 'the rule'],
      [ruleKey(`${family} t a`, 4), 'the jump'],
    ]);
    return tablesOfNft(
      JSON.stringify({ nftables: objects }),
      texts,
      new Map([['netdev t f', ['cni0']]]),
    );
  }
  const match = (left: unknown, right: unknown, op = '=='): unknown => ({
    match: { op, left, right },
  });
  const meta = (key: string): unknown => ({ meta: { key } });
  const field = (protocol: string, name: string): unknown => ({
    payload: { protocol, field: name },
  });
  const flags = { '&': [field('tcp', 'flags'), ['fin', 'syn', 'rst', 'ack']] };
  const state = { ct: { key: 'state' } };

  const rows: [what: string, test: unknown, end: 'accepted' | 'dropped' | 'unknown'][] = [
    ['iifname "cni*"', match(meta('iifname'), 'cni*'), 'dropped'],
    [
      'oifname != { "flannel.1", "cni0" }',
      match(meta('oifname'), { set: ['cni0', 'flannel.1'] }, '!='),
      'accepted',
    ],
    ['ip saddr @s', match(field('ip', 'saddr'), '@s'), 'dropped'],
    ['ip saddr != @s', match(field('ip', 'saddr'), '@s', '!='), 'accepted'],
    ['ip6 daddr of an IPv4 packet', match(field('ip6', 'daddr'), 'fd00::1', '!='), 'accepted'],
    [
      'ip daddr range',
      match(field('ip', 'daddr'), { range: ['10.244.2.0', '10.244.2.9'] }),
      'dropped',
    ],
    [
      'ip daddr & mask',
      match({ '&': [field('ip', 'daddr'), '255.255.0.255'] }, '10.244.0.2'),
      'dropped',
    ],
    ['meta l4proto { tcp, udp }', match(meta('l4proto'), { set: ['tcp', 'udp'] }), 'dropped'],
    ['ip protocol udp', match(field('ip', 'protocol'), 'udp'), 'accepted'],
    ['th dport 49876', match(field('th', 'dport'), 49_876), 'dropped'],
    ['udp dport 8472', match(field('udp', 'dport'), 8472), 'accepted'],
    [
      'tcp dport { 53, 49000-50000 }',
      match(field('tcp', 'dport'), { set: [53, { range: [49_000, 50_000] }] }),
      'dropped',
    ],
    ['tcp dport >= 1024', match(field('tcp', 'dport'), 1024, '>='), 'dropped'],
    ['ct state established,related', match(state, ['established', 'related'], 'in'), 'accepted'],
    ['ct state { new, untracked }', match(state, { set: ['new', 'untracked'] }), 'dropped'],
    ['ct state invalid', match(state, 'invalid', 'in'), 'accepted'],
    ['ct status dnat', match({ ct: { key: 'status' } }, 'dnat', 'in'), 'accepted'],
    ['meta mark & 0xff == 0', match({ '&': [meta('mark'), 255] }, 0), 'dropped'],
    ['meta nfproto ipv6', match(meta('nfproto'), 'ipv6'), 'accepted'],
    [
      'fib daddr type local',
      match({ fib: { result: 'type', flags: ['daddr'] } }, 'local'),
      'accepted',
    ],
    [
      'fib saddr . iif oif missing',
      match({ fib: { result: 'oif', flags: ['saddr', 'iif'] } }, false),
      'accepted',
    ],
    ['tcp flags syn', match(field('tcp', 'flags'), 'syn', 'in'), 'dropped'],
    ['tcp flags & (fin|syn|rst|ack) != syn', match(flags, 'syn', '!='), 'accepted'],
    [
      'ip saddr . tcp dport @cat',
      match({ concat: [field('ip', 'saddr'), field('tcp', 'dport')] }, '@cat'),
      'dropped',
    ],
    ['meta pkttype broadcast', match(meta('pkttype'), 'broadcast'), 'accepted'],
    ['meta iifkind "veth"', match(meta('iifkind'), 'veth'), 'unknown'],
    ['ip ttl 1', match(field('ip', 'ttl'), 1), 'unknown'],
    ['limit rate', { limit: { rate: 3, burst: 5, per: 'second' } }, 'unknown'],
    ['xt match string', { xt: { type: 'match', name: 'string' } }, 'unknown'],
    ['xt match comment', { xt: { type: 'match', name: 'comment' } }, 'dropped'],
  ];
  for (const [what, test, end] of rows)
    it(`${end}: ${what} drop`, () => {
      const text = fate(nft([test, { drop: null }]), POD);
      assert.equal(text, end === 'accepted' ? end : `${end}: the rule`);
    });

  it('verdict maps, with sets of their own and named ones', () => {
    const own = {
      vmap: {
        key: state,
        data: {
          set: [
            ['invalid', { drop: null }],
            ['new', { accept: null }],
          ],
        },
      },
    };
    assert.equal(fate(nft([own], 'drop'), POD), 'accepted');
    const named = { vmap: { key: meta('iifname'), data: '@v' } };
    assert.equal(fate(nft([named]), POD), 'dropped: the jump');
    assert.equal(fate(nft([named]), { ...POD, inDevice: 'eth7' }), 'accepted');
  });

  it('reject, and a target of iptables that nft has only the name of', () => {
    assert.equal(
      fate(nft([{ reject: { type: 'icmpx', expr: 'admin-prohibited' } }]), POD),
      'dropped: the rule',
    );
    assert.equal(fate(nft([{ xt: { type: 'target', name: 'REJECT' } }]), POD), 'dropped: the rule');
    assert.equal(
      fate(nft([{ xt: { type: 'target', name: 'NFQUEUE' } }]), POD),
      'unknown: the rule',
    );
  });

  it('each family sees its own packets: inet both, bridge what comes over a bridge, netdev its device', () => {
    const drop = [{ drop: null }];
    assert.equal(fate(nft(drop, 'accept', 'inet'), POD6), 'dropped: the rule');
    assert.equal(fate(nft(drop, 'accept', 'ip'), POD6), 'accepted');
    const bridge = nft(
      [match(field('ether', 'type'), 'ip'), ...drop],
      'accept',
      'bridge',
      'input',
      -200,
    );
    assert.equal(fate(bridge, POD), 'dropped: the rule');
    assert.equal(fate(bridge, POD6), 'accepted');
    assert.equal(fate(bridge, TUNNEL), 'accepted');
    const ingress = nft(drop, 'accept', 'netdev', 'ingress');
    assert.equal(fate(ingress, POD), 'dropped: the rule');
    assert.equal(fate(ingress, TUNNEL), 'accepted');
  });

  it('nft and iptables see one table: the rules mean what iptables says, unless they count differently', () => {
    const [table] = nft(
      [{ xt: { type: 'match', name: 'string' } }, { drop: null }],
      'accept',
      'ip',
    );
    assert.ok(table);
    table.chains.delete('a');
    const twin = iptables('*t\n:f - [0:0]\n-A f -m comment --comment "x" -j DROP\nCOMMIT\n');
    assert.equal(
      fate(mergeTables([table], twin), POD),
      'dropped: -A f -m comment --comment "x" -j DROP',
    );
    assert.equal(
      fate(mergeTables([table], iptables('*t\n:f - [0:0]\nCOMMIT\n')), POD),
      'unknown: the rule',
    );
  });

  it('texts and devices come from the listing', () => {
    const { rules, devices } = readNftText(`table netdev n { # handle 3
\tchain i { # handle 1
\t\ttype filter hook ingress device "e0" priority filter; policy accept;
\t\tudp dport 8472 drop # handle 2
\t\tip saddr { 10.0.0.1,
\t\t\t 10.0.0.2 } drop comment "a # handle 9" # handle 4
\t}
}
`);
    assert.deepEqual(devices.get('netdev n i'), ['e0']);
    assert.equal(rules.get('netdev n i 2'), 'udp dport 8472 drop');
    assert.equal(
      rules.get('netdev n i 4'),
      'ip saddr { 10.0.0.1, 10.0.0.2 } drop comment "a # handle 9"',
    );
  });
});

describe('what the doctor says of a walk', () => {
  const passage = () => ({ iptables: '-s 10.244.0.0/16', nft: 'ip saddr 10.244.0.0/16' });

  it('names rule and place, and nothing of a rule stands in the command', () => {
    const evil = '-A FORWARD -m comment --comment "$(reboot)\u001b[31m" -j DROP';
    const { status, text, fix } = judgeWalks(iptables(filter(evil)), [POD, TUNNEL], passage);
    assert.equal(status, 'fail');
    assert.match(
      text,
      /10\.244\.1\.2 → 10\.244\.2\.2 port 49876, cni0 → flannel\.1\) is dropped by "-A FORWARD .*iptables filter FORWARD, rule 1/,
    );
    assert.equal(text.includes('\u001b'), false);
    assert.match(
      fix ?? '',
      /iptables -t filter -I FORWARD -s 10\.244\.0\.0\/16 -j ACCEPT; .*iptables -t filter -D FORWARD 1$/,
    );
    assert.doesNotMatch(fix ?? '', /reboot/);
  });

  it('a rule that nobody can judge is a warning that names it, and a certain drop goes first', () => {
    const unsure = '-A FORWARD -m set --match-set bad src -j DROP';
    const found = judgeWalks(iptables(filter(unsure)), [POD], passage);
    assert.equal(found.status, 'warn');
    assert.match(found.text, /may be dropped by "-A FORWARD -m set .*can't be judged/);
    const both = judgeWalks(iptables(filter(unsure, '-A INPUT -j DROP')), [POD, TUNNEL], passage);
    assert.equal(both.status, 'fail');
    assert.match(both.text, /-A INPUT -j DROP.*2 of 2 sample packets/);
  });
});
