/** Which lines of nftables and iptables are about the overlay's UDP port. The texts are those of the tools. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lineAboutPort, ruleAboutUdpPort } from '../../../src/host/firewall/port-rules.ts';
import { GUARD_WORDS } from '../../../src/host/firewall/wishes.ts';
import { WeftError } from '../../../src/shared/errors.ts';

const PORT = 8472;

for (const line of [
  'udp dport 8472 accept',
  'udp dport { 53, 8400-8500 } accept',
  'udp dport 8000-9000 drop',
  'meta l4proto udp th dport 8472 counter packets 0 bytes 0',
  '@th,16,16 8472 drop',
  'elements = { 53, 8472 }',
  '-A INPUT -p udp -m udp --dport 8472 -j ACCEPT',
  '-A INPUT -p udp -m multiport --dports 53,8400:8500 -j ACCEPT',
  '-A OUTPUT -p udp -m udp --sport 8000:9000 -j DROP',
  'type filter hook input priority filter; policy drop;',
  'type filter hook ingress device "eth0" priority 0; policy drop;',
  ':INPUT DROP [0:0]',
  '-A INPUT -j REJECT --reject-with icmp-host-prohibited',
  '-A INPUT -m comment --comment "the end" -j DROP',
])
  test(`about the port: ${line}`, () => {
    assert.equal(lineAboutPort(`table inet site {\n\t\t${line}\n}`, PORT), line);
  });

for (const line of [
  'udp dport 4789 accept',
  'tcp dport 8472 accept',
  '-A INPUT -p tcp -m tcp --dport 8472 -j ACCEPT',
  'udp dport 18472 accept',
  'ip saddr 10.84.72.0/24 udp dport 53 accept',
  'counter packets 8472 bytes 8472',
  'type filter hook input priority filter; policy accept;',
  'type filter hook forward priority filter; policy drop;',
  ':FORWARD DROP [0:0]',
  '-A FORWARD -j REJECT',
  '-A KUBE-MARK-DROP -j DROP',
  'reject with icmpx admin-prohibited',
  ':MINE - [0:0]',
  `udp dport 8472 drop comment "${GUARD_WORDS} 10.244.0.0/16"`,
])
  test(`not about it: ${line}`, () => {
    assert.equal(lineAboutPort(line, PORT), '');
  });

/** Tools that print this, and are not installed where there is nothing for them. */
const tools =
  (texts: Record<string, string>) =>
  async (command: string): Promise<string> => {
    const text = texts[command];
    if (text !== undefined) return text;
    throw new WeftError('ERR_COMMAND_MISSING', 71, `${command}: not installed`);
  };

test('a table of iptables is read by its own tool: weft is known by its comments there', async () => {
  const own = `-A FORWARD -p udp --dport 8472 -m comment --comment "${GUARD_WORDS} 10.244.0.0/16"`;
  const run = tools({
    'iptables-nft-save': `*mangle\n:FORWARD ACCEPT [0:0]\n${own} -j DROP\nCOMMIT\n`,
    nft: 'table ip mangle {\n\tchain FORWARD {\n\t\tudp dport 8472 drop\n\t}\n}\n',
  });
  assert.equal(await ruleAboutUdpPort(PORT, run), '');
});

test('a chain at a hook of the host that ends with a refusal closes it; one that is only jumped to does not', () => {
  const chain = (...lines: string[]): string =>
    `table inet fw {\n\tchain c {\n${lines.map((l) => `\t\t${l}`).join('\n')}\n\t}\n}\n`;
  const hook = 'type filter hook input priority filter; policy accept;';
  const refusal = 'reject with icmpx admin-prohibited';
  assert.equal(lineAboutPort(chain(hook, 'iifname "lo" accept', refusal), PORT), refusal);
  assert.equal(lineAboutPort(chain(hook, 'ip saddr 192.0.2.1 drop'), PORT), '');
  assert.equal(lineAboutPort(chain(hook, 'accept') + chain('drop'), PORT), '');
});

test('without nft nobody knows what rules there are', async () => {
  await assert.rejects(ruleAboutUdpPort(PORT, tools({ 'iptables-nft-save': '' })), /not installed/);
});

test('a table of IPv6 alone does not count: ours is there, and without its comment', async () => {
  const run = tools({
    'iptables-nft-save': '',
    nft: 'table ip6 mangle {\n\tchain FORWARD {\n\t\tudp dport 8472 drop\n\t}\n}\n',
  });
  assert.equal(await ruleAboutUdpPort(PORT, run), '');
});

test('a table of nftables that iptables does not have counts, whatever its name', async () => {
  const run = tools({
    'iptables-nft-save': '*mangle\nCOMMIT\n',
    nft: 'table inet mangle {\n\tchain in {\n\t\tudp dport 8472 accept\n\t}\n}\n',
  });
  assert.equal(await ruleAboutUdpPort(PORT, run), 'udp dport 8472 accept');
});

test('rules that can not be read are no absence of rules', async () => {
  const run = async (): Promise<string> => {
    throw new WeftError('ERR_COMMAND_FAILED', 71, 'nft: Operation not permitted');
  };
  await assert.rejects(ruleAboutUdpPort(PORT, run), /not permitted/);
});
