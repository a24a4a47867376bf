/** Checks of the firewall: what of the overlay's traffic it would stop. Reads rules, loads no module. */
import { exec, isMissingCommand } from '../../host/exec.ts';
import { type Check, type Finding, fail, ok, skipped, someOf, warn } from './check.ts';
import { overlayOf } from './overlay.ts';
import { readKernel, type Site } from './site.ts';

/** Of nftables and of iptables. */
const GUARD_CHAINS = ['guard', 'WEFT-GUARD'];

export interface ForwardChain {
  /** "ip filter FORWARD" */
  name: string;
  policy: 'accept' | 'drop';
  /** of all chains of its table: a jump may lead to any of them */
  rules: string[];
}

/** Base chains at the forward hook, from the text of `nft list ruleset`. */
export function forwardChains(ruleset: string): ForwardChain[] {
  const found: ForwardChain[] = [];
  for (const table of ruleset.split(/^(?=table )/m)) {
    const title = /^table (\S+ \S+)/.exec(table)?.[1];
    if (title === undefined) continue;
    const rules = table.split('\n').map((line) => line.trim());
    for (const chain of table.split(/^\s+chain /m).slice(1)) {
      const match = /^(\S+) \{\s*\n\s*type filter hook forward [^;]*;(?: policy (\w+);)?/.exec(
        chain,
      );
      const policy = match?.[2] === 'drop' ? 'drop' : 'accept';
      if (match) found.push({ name: `${title} ${match[1]}`, policy, rules });
    }
  }
  return found;
}

/** The same from `iptables -S`. */
export function iptablesChain(text: string, tool: string): ForwardChain {
  const rules = text.split('\n').filter((line) => line.startsWith('-A'));
  const policy = /^-P FORWARD DROP$/m.test(text) ? 'drop' : 'accept';
  return { name: `${tool} FORWARD`, policy, rules };
}

/** A chain that drops must itself accept the overlay: what another chain accepts does not help. */
export function judgeForward(
  chains: readonly ForwardChain[],
  networks: readonly string[],
): Finding {
  const accepts = ({ rules }: ForwardChain): boolean =>
    rules.some(
      (rule) => /\baccept\b/i.test(rule) && networks.some((network) => rule.includes(network)),
    );
  const closed = chains.filter((chain) => chain.policy === 'drop' && !accepts(chain));
  if (closed.length === 0) return ok('lets the overlay through');
  const [network] = networks;
  return fail(
    `policy DROP without a rule that accepts ${network}: ${someOf(closed.map(({ name }) => name))}`,
    `iptables -P FORWARD ACCEPT, or leave --iptables-forward-rules on: weftd accepts ${network} then`,
  );
}

/** Rules that drop what peers send to the port: a line of the ruleset, or undefined. weft's guard drops what pods send, and is none. */
export function portBlock(ruleset: string, port: number): string | undefined {
  const pattern = new RegExp(`\\bdport ${port}\\b.*\\b(drop|reject)\\b`, 'i');
  let chain = '';
  for (const line of ruleset.split('\n').map((each) => each.trim())) {
    chain = /^chain (\S+) \{/.exec(line)?.[1] ?? chain;
    if (pattern.test(line) && !GUARD_CHAINS.includes(chain)) return line;
  }
  return undefined;
}

export const FIREWALL_CHECKS: readonly Check[] = [
  {
    id: 'forward-policy',
    group: 'firewall',
    severity: 'fail',
    title: 'FORWARD policy',
    run: async (site) => {
      const { networks } = await overlayOf(site);
      if (networks.length === 0) return skipped('no network config');
      return judgeForward(await forwardOf(site), networks);
    },
  },
  {
    id: 'port-blocked',
    group: 'firewall',
    severity: 'fail',
    title: 'rules on the UDP port',
    run: async (site) => {
      const { port } = await overlayOf(site);
      if (port === undefined) return skipped('no UDP port');
      const rule = portBlock(await rulesetOf(site), port);
      if (!rule) return ok(`none drops UDP ${port}`);
      return fail(
        `a rule drops UDP ${port}: ${rule}`,
        `remove it: nft -a list ruleset, then nft delete rule ... handle N`,
      );
    },
  },
  {
    id: 'firewalld',
    group: 'firewall',
    severity: 'warn',
    title: 'firewalld',
    run: async (site) => judgeFirewalld(site),
  },
  {
    id: 'firewall-rules',
    group: 'firewall',
    severity: 'warn',
    title: "weft's own rules",
    run: async (site) => {
      const firewall = (await site.daemon())?.firewall;
      if (!firewall) return skipped('no daemon answers');
      if (firewall.ok) return ok(firewall.kind ? `in place, by ${firewall.kind}` : 'in place');
      return warn(
        `not in place: ${firewall.problem}`,
        'apt-get install nftables (or iptables); journalctl -u weftd',
      );
    },
  },
];

async function judgeFirewalld(site: Site): Promise<Finding> {
  if (!/^table \w+ firewalld /m.test(await rulesetOf(site))) return ok('not active');
  const { devices, port } = await overlayOf(site);
  const interfaces = [...devices.values()].map((name) => `--add-interface=${name}`).join(' ');
  return warn(
    'active: it drops what its zones do not know',
    `firewall-cmd --permanent --zone=trusted ${interfaces} && firewall-cmd --permanent --add-port=${port}/udp && firewall-cmd --reload`,
  );
}

async function forwardOf(site: Site): Promise<ForwardChain[]> {
  const legacy = await legacyOf();
  try {
    return [...forwardChains(await site.ruleset()), ...legacy];
  } catch (error) {
    if (legacy.length > 0) return legacy;
    if (!isMissingCommand(error)) throw error;
    return [iptablesChain(await exec('iptables', ['-S']), 'iptables')];
  }
}

/** By nft, which shows what iptables writes, too; by iptables where that is all there is. */
function rulesetOf(site: Site): Promise<string> {
  return site.ruleset().catch((error: unknown) => {
    if (!isMissingCommand(error)) throw error;
    return exec('iptables', ['-S']);
  });
}

/** Asked only where its tables are in use: asking would load its modules. */
async function legacyOf(): Promise<ForwardChain[]> {
  const tables = (await readKernel('/proc/net/ip_tables_names')) ?? '';
  if (!tables.split('\n').includes('filter')) return [];
  return [iptablesChain(await exec('iptables-legacy', ['-S']), 'iptables-legacy')];
}
