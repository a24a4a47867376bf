/**
 * The rules for nftables: flannel's, and the guard as one more chain in its tables. One of flannel's rules differs from its text: there
 * the fourth hides the sixth, so that a host's traffic to remote pods is never masqueraded; here the order means the same as in the
 * iptables flavour.
 */
import { type Exec, isMissingCommand } from '../exec.ts';
import {
  type AddressMatch,
  forwardRules,
  guardRules,
  masqueradeRules,
  type Rule,
} from './rules.ts';
import {
  type Firewall,
  type FirewallFamily,
  type FirewallWishes,
  guardComment,
  isAbout,
  KUBE_MARK,
  ownPrefixes,
} from './wishes.ts';

const TABLES = {
  4: { family: 'ip', name: 'flannel-ipv4' },
  6: { family: 'ip6', name: 'flannel-ipv6' },
} as const;

/** A table's rules as nft prints them, by chain. */
type Listing = Record<ChainName, string[]>;
type ChainName = 'guard' | 'forward' | 'postrtg';
const CHAINS: readonly ChainName[] = ['guard', 'forward', 'postrtg'];

export class NftablesFirewall implements Firewall {
  readonly flavour = 'nftables';
  readonly isAnnounced = true;
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

  private ownPart(found: Listing, family: FirewallFamily): string {
    const isOurs = (rule: string): boolean => this.isOurs(rule, family) || isMark(rule);
    return JSON.stringify(CHAINS.map((name) => found[name].filter(isOurs)));
  }

  /** One transaction: nobody ever sees half of it. Another daemon's rules stay, behind ours. */
  private async write(family: FirewallFamily, found: Listing | undefined): Promise<void> {
    const isForeign = (rule: string): boolean => !this.isOurs(rule, family) && !isMark(rule);
    const others = listing((name) => found?.[name].filter(isForeign) ?? []);
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
    const spell = (rules: readonly Rule[], ending = ''): string[] =>
      rules.map((rule) => textOf(family, rule, random) + ending);
    const own: Listing = {
      guard: spell(guardRules(wish, this.wishes), ` comment "${guardComment(wish)}"`),
      forward: spell(forwardRules(wish, this.wishes)),
      postrtg: spell(masqueradeRules(wish, this.wishes)),
    };
    const all = listing((chain) => [...own[chain], ...others[chain]]);
    if (all.postrtg.length > 0) all.postrtg.unshift(MARK_RULE);
    return [
      `table ${family} ${name}`, // so that there is one to delete
      `delete table ${family} ${name}`,
      `table ${family} ${name} {`,
      `comment "rules for ${name}"`,
      ...CHAINS.flatMap((chain) => chainText(chain, all[chain])),
      '}',
      '',
    ].join('\n');
  }
}

function listing(rulesOf: (name: ChainName) => string[]): Listing {
  return { guard: rulesOf('guard'), forward: rulesOf('forward'), postrtg: rulesOf('postrtg') };
}

const MARK_RULE = `meta mark ${KUBE_MARK} return`;

function isMark(rule: string): boolean {
  return rule.startsWith('meta mark');
}

function chainText(name: ChainName, rules: readonly string[]): string[] {
  return rules.length === 0 ? [] : [`chain ${name} {`, ...HEADS[name], ...rules, '}'];
}

const HEADS = {
  guard: [
    'comment "chain to keep pods from the ports of nodes"',
    'type filter hook forward priority mangle; policy accept;',
  ],
  forward: [
    'comment "chain to accept flannel traffic"',
    'type filter hook forward priority filter; policy accept;',
  ],
  postrtg: [
    'comment "chain to manage traffic masquerading by flannel"',
    'type nat hook postrouting priority srcnat; policy accept;',
  ],
} as const;

/** `random`: what follows masquerade. What is dropped is counted. */
function textOf(family: string, rule: Rule, random: string): string {
  const { from, to, notIn, notOut, destination, verdict } = rule;
  return [
    // First, because most packets are of another protocol or port, and end there.
    ...(destination ? [`${destination.protocol} dport ${destination.port}`] : []),
    ...(notIn === undefined ? [] : [`iifname != "${notIn}"`]),
    ...(notOut === undefined ? [] : [`oifname != "${notOut}"`]),
    ...address(`${family} saddr`, from),
    ...address(`${family} daddr`, to),
    ...(verdict === 'drop' ? ['counter'] : []),
    verdict + (verdict === 'masquerade' ? random : ''),
  ].join(' ');
}

function address(field: string, match: AddressMatch | undefined): string[] {
  if (!match) return [];
  const { not, text, mask } = match;
  if (mask !== undefined) return [`${field} & ${mask} == ${text}`];
  return [`${field} ${not ? '!= ' : ''}${text}`];
}

/** undefined when there is no such table. */
async function list(version: 4 | 6, run: Exec): Promise<Listing | undefined> {
  const { family, name } = TABLES[version];
  // Stateless: a counter that moves is no change.
  const text = await run('nft', ['--stateless', 'list', 'table', family, name]).catch((error) => {
    if (isMissingCommand(error)) throw error;
    return undefined;
  });
  if (text === undefined) return undefined;
  return listing((name) => {
    const body = new RegExp(`chain ${name} \\{([^}]*)\\}`).exec(text)?.[1] ?? '';
    const lines = body.split('\n').map((line) => line.trim());
    return lines.filter((line) => line !== '' && !/^(comment|type) /.test(line));
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
      if (!isMissingCommand(error)) throw error;
    }
  }
  return removed;
}
