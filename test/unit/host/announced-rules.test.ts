/** Whether the kernel would announce a change of our rules, by what the tools say of themselves (made-up tools). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFirewall } from '../../../src/host/firewall/firewall.ts';
import type { FirewallWishes } from '../../../src/host/firewall/wishes.ts';
import { prefix } from '../../support/rig.ts';

const wishes: FirewallWishes = {
  families: [
    { family: 4, network: prefix('10.244.0.0/16'), subnet: prefix('10.244.1.0/24') },
    { family: 6, network: prefix('fd00:244::/48'), subnet: prefix('fd00:244:0:1::/64') },
  ],
  masquerade: false,
  fullyRandom: false,
  forward: true,
  guarded: [],
};

const kinds: [four: string, six: string, announced: boolean][] = [
  ['nf_tables', 'nf_tables', true],
  ['nf_tables', 'legacy', false],
  ['legacy', 'nf_tables', false],
];
for (const [four, six, announced] of kinds)
  test(`iptables ${four} and ip6tables ${six}: ${announced ? '' : 'not '}announced (made-up tools)`, async () => {
    const firewall = createFirewall('iptables', wishes, async (command, args) => {
      if (!args.includes('--version')) return '';
      return `${command} v1.8.9 (${command.startsWith('ip6') ? six : four})`;
    });
    assert.equal(firewall.isAnnounced, false, 'nobody was asked yet');
    await firewall.ensure();
    assert.equal(firewall.isAnnounced, announced);
  });
