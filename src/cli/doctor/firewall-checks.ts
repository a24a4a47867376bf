/** Checks of the firewall: what of the overlay's traffic it would stop. Reads rules, loads no module. */
import { exec } from '../../host/exec.ts';
import { type Check, type Finding, fail, ok, skipped, someOf, warn } from './check.ts';
import { overlayOf } from './overlay.ts';
import { readKernel, type Site } from './site.ts';

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

/** The same from `iptables-legacy -S`. */
export function legacyChain(text: string): ForwardChain {
  const rules = text.split('\n').filter((line) => line.startsWith('-A'));
  const policy = /^-P FORWARD DROP$/m.test(text) ? 'drop' : 'accept';
  return { name: 'iptables-legacy FORWARD', policy, rules };
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

/** Rules that drop what peers send to the port: a line of the ruleset, or undefined. */
export function portBlock(ruleset: string, port: number): string | undefined {
  const pattern = new RegExp(`\\bdport ${port}\\b.*\\b(drop|reject)\\b`);
  return ruleset
    .split('\n')
    .map((line) => line.trim())
    .find((line) => pattern.test(line));
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
      const legacy = await legacyOf();
      const ruleset = await site.ruleset().catch((error: unknown) => {
        if (legacy.length > 0) return '';
        throw error;
      });
      return judgeForward([...forwardChains(ruleset), ...legacy], networks);
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
      const rule = portBlock(await site.ruleset(), port);
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
      if (firewall.ok) return ok('in place');
      return warn(
        `not in place: ${firewall.problem}`,
        'apt-get install iptables; journalctl -u weftd',
      );
    },
  },
];

async function judgeFirewalld(site: Site): Promise<Finding> {
  if (!/^table \w+ firewalld /m.test(await site.ruleset())) return ok('not active');
  const { devices, port } = await overlayOf(site);
  const interfaces = [...devices.values()].map((name) => `--add-interface=${name}`).join(' ');
  return warn(
    'active: it drops what its zones do not know',
    `firewall-cmd --permanent --zone=trusted ${interfaces} && firewall-cmd --permanent --add-port=${port}/udp && firewall-cmd --reload`,
  );
}

/** Asked only where its tables are in use: asking would load its modules. */
async function legacyOf(): Promise<ForwardChain[]> {
  const tables = (await readKernel('/proc/net/ip_tables_names')) ?? '';
  if (!tables.split('\n').includes('filter')) return [];
  return [legacyChain(await exec('iptables-legacy', ['-S']))];
}
