/**
 * flannel's rules for nftables, in tables of their own. One rule differs from flannel's text: there the fourth hides the sixth, so that
 * a host's traffic to remote pods is never masqueraded; here the order means the same as in the iptables flavour.
 */
import { formatPrefix } from '../../../shared/address.ts';
import type { Exec } from '../exec.ts';
import {
  type Firewall,
  type FirewallFamily,
  type FirewallWishes,
  KUBE_MARK,
  MULTICAST,
} from './firewall.ts';

const TABLES = {
  4: { family: 'ip', name: 'flannel-ipv4' },
  6: { family: 'ip6', name: 'flannel-ipv6' },
} as const;

export class NftablesFirewall implements Firewall {
  private readonly wishes: FirewallWishes;
  private readonly run: Exec;
  /** what each table looked like after we wrote it */
  private readonly written = new Map<string, string>();

  constructor(wishes: FirewallWishes, run: Exec) {
    this.wishes = wishes;
    this.run = run;
  }

  async ensure(): Promise<string> {
    const changed: string[] = [];
    for (const family of this.wishes.families) {
      const { name } = TABLES[family.family];
      const found = await list(family.family, this.run);
      if (found !== undefined && this.written.get(name) === found) continue;
      await this.write(family);
      this.written.set(name, (await list(family.family, this.run)) ?? '');
      changed.push(`nft table ${name}`);
    }
    return changed.join(', ');
  }

  /** One transaction: nobody ever sees half of it. */
  private async write(family: FirewallFamily): Promise<void> {
    const random = this.textOf(family, ' fully-random');
    const isRandom = this.wishes.fullyRandom && (await this.isAccepted(random));
    await this.run('nft', ['-f', '-'], isRandom ? random : this.textOf(family, ''));
  }

  private async isAccepted(text: string): Promise<boolean> {
    return this.run('nft', ['-c', '-f', '-'], text).then(
      () => true,
      () => false,
    );
  }

  private textOf(wish: FirewallFamily, random: string): string {
    const { family, name } = TABLES[wish.family];
    const chains = [
      ...(this.wishes.forward ? forwardChain(family, wish) : []),
      ...(this.wishes.masquerade ? masqueradeChain(family, wish, random) : []),
    ];
    return [
      `table ${family} ${name}`, // so that there is one to delete
      `delete table ${family} ${name}`,
      `table ${family} ${name} {`,
      `comment "rules for ${name}"`,
      ...chains,
      '}',
      '',
    ].join('\n');
  }
}

function forwardChain(family: string, { network }: FirewallFamily): string[] {
  const n = formatPrefix(network);
  return [
    'chain forward {',
    'comment "chain to accept flannel traffic"',
    'type filter hook forward priority filter; policy accept;',
    `${family} saddr ${n} accept`,
    `${family} daddr ${n} accept`,
    '}',
  ];
}

function masqueradeChain(
  family: string,
  { family: version, network, subnet }: FirewallFamily,
  random: string,
): string[] {
  const [n, p] = [formatPrefix(network), formatPrefix(subnet)];
  return [
    'chain postrtg {',
    'comment "chain to manage traffic masquerading by flannel"',
    'type nat hook postrouting priority srcnat; policy accept;',
    `meta mark ${KUBE_MARK} return`,
    `${family} saddr ${p} ${family} daddr ${n} return`,
    `${family} saddr ${n} ${family} daddr ${p} return`,
    `${family} saddr != ${n} ${family} daddr ${p} return`,
    `${family} saddr ${n} ${family} daddr != ${MULTICAST[version]} masquerade${random}`,
    `${family} saddr != ${n} ${family} daddr ${n} masquerade${random}`,
    '}',
  ];
}

/** The table as nft prints it; undefined when there is none. */
async function list(version: 4 | 6, run: Exec): Promise<string | undefined> {
  const { family, name } = TABLES[version];
  return run('nft', ['list', 'table', family, name]).catch((error) => {
    if (/command not found/.test(String(error))) throw error;
    return undefined;
  });
}

export async function removeNftables(run: Exec): Promise<string[]> {
  const removed: string[] = [];
  for (const version of [4, 6] as const) {
    const { family, name } = TABLES[version];
    try {
      if ((await list(version, run)) === undefined) continue;
      await run('nft', ['delete', 'table', family, name]);
      removed.push(`nft table ${name}`);
    } catch (error) {
      if (!/command not found/.test(String(error))) throw error;
    }
  }
  return removed;
}
