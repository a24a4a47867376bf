/**
 * flannel's rules for nftables, in tables of their own. One rule differs from flannel's text: there the fourth hides the sixth, so that
 * a host's traffic to remote pods is never masqueraded; here the order means the same as in the iptables flavour.
 */
import { formatPrefix } from '../../shared/address.ts';
import { type Exec, isMissingCommand } from '../exec.ts';
import {
  type Firewall,
  type FirewallFamily,
  type FirewallWishes,
  isAbout,
  KUBE_MARK,
  MULTICAST,
  ownPrefixes,
} from './wishes.ts';

const TABLES = {
  4: { family: 'ip', name: 'flannel-ipv4' },
  6: { family: 'ip6', name: 'flannel-ipv6' },
} as const;

/** A table's rules as nft prints them, by chain. */
type Listing = Record<'forward' | 'postrtg', string[]>;

export class NftablesFirewall implements Firewall {
  private readonly wishes: FirewallWishes;
  private readonly run: Exec;
  /** our rules in each table after we wrote them */
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
      if (found !== undefined && this.written.get(name) === this.ownPart(found, family)) continue;
      await this.write(family, found);
      const now = await list(family.family, this.run);
      this.written.set(name, now === undefined ? '' : this.ownPart(now, family));
      changed.push(`nft table ${name}`);
    }
    return changed.join(', ');
  }

  private isOurs(rule: string, family: FirewallFamily): boolean {
    return isAbout(rule, ownPrefixes(family, this.wishes));
  }

  private ownPart({ forward, postrtg }: Listing, family: FirewallFamily): string {
    const isOurs = (rule: string): boolean => this.isOurs(rule, family) || isMark(rule);
    return JSON.stringify([forward.filter(isOurs), postrtg.filter(isOurs)]);
  }

  /** One transaction: nobody ever sees half of it. Another daemon's rules stay, behind ours. */
  private async write(family: FirewallFamily, found: Listing | undefined): Promise<void> {
    const isForeign = (rule: string): boolean => !this.isOurs(rule, family) && !isMark(rule);
    const others: Listing = {
      forward: found?.forward.filter(isForeign) ?? [],
      postrtg: found?.postrtg.filter(isForeign) ?? [],
    };
    const random = this.textOf(family, others, ' fully-random');
    const isRandom = this.wishes.fullyRandom && (await this.isAccepted(random));
    await this.run('nft', ['-f', '-'], isRandom ? random : this.textOf(family, others, ''));
  }

  private async isAccepted(text: string): Promise<boolean> {
    return this.run('nft', ['-c', '-f', '-'], text).then(
      () => true,
      () => false,
    );
  }

  private textOf(wish: FirewallFamily, others: Listing, random: string): string {
    const { family, name } = TABLES[wish.family];
    const forward = [...(this.wishes.forward ? forwardRules(family, wish) : []), ...others.forward];
    const own = this.wishes.masquerade ? masqueradeRules(family, wish, random) : [];
    const postrtg = [...own, ...others.postrtg];
    return [
      `table ${family} ${name}`, // so that there is one to delete
      `delete table ${family} ${name}`,
      `table ${family} ${name} {`,
      `comment "rules for ${name}"`,
      ...chain('forward', forward),
      ...chain('postrtg', postrtg.length > 0 ? [MARK_RULE, ...postrtg] : []),
      '}',
      '',
    ].join('\n');
  }
}

const MARK_RULE = `meta mark ${KUBE_MARK} return`;

function isMark(rule: string): boolean {
  return rule.startsWith('meta mark');
}

function chain(name: keyof Listing, rules: readonly string[]): string[] {
  return rules.length === 0 ? [] : [`chain ${name} {`, ...HEADS[name], ...rules, '}'];
}

const HEADS = {
  forward: [
    'comment "chain to accept flannel traffic"',
    'type filter hook forward priority filter; policy accept;',
  ],
  postrtg: [
    'comment "chain to manage traffic masquerading by flannel"',
    'type nat hook postrouting priority srcnat; policy accept;',
  ],
} as const;

function forwardRules(family: string, { network }: FirewallFamily): string[] {
  const n = formatPrefix(network);
  return [`${family} saddr ${n} accept`, `${family} daddr ${n} accept`];
}

function masqueradeRules(
  family: string,
  { family: version, network, subnet }: FirewallFamily,
  random: string,
): string[] {
  const [n, p] = [formatPrefix(network), formatPrefix(subnet)];
  return [
    `${family} saddr ${p} ${family} daddr ${n} return`,
    `${family} saddr ${n} ${family} daddr ${p} return`,
    `${family} saddr != ${n} ${family} daddr ${p} return`,
    `${family} saddr ${n} ${family} daddr != ${MULTICAST[version]} masquerade${random}`,
    `${family} saddr != ${n} ${family} daddr ${n} masquerade${random}`,
  ];
}

/** undefined when there is no such table. */
async function list(version: 4 | 6, run: Exec): Promise<Listing | undefined> {
  const { family, name } = TABLES[version];
  const text = await run('nft', ['list', 'table', family, name]).catch((error) => {
    if (isMissingCommand(error)) throw error;
    return undefined;
  });
  if (text === undefined) return undefined;
  const rulesOf = (name: keyof Listing): string[] => {
    const body = new RegExp(`chain ${name} \\{([^}]*)\\}`).exec(text)?.[1] ?? '';
    const lines = body.split('\n').map((line) => line.trim());
    return lines.filter((line) => line !== '' && !/^(comment|type) /.test(line));
  };
  return { forward: rulesOf('forward'), postrtg: rulesOf('postrtg') };
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
      if (!isMissingCommand(error)) throw error;
    }
  }
  return removed;
}
