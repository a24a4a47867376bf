/** The rules for iptables. flannel's have its text: e2e tests and other tools compare it. */
import type { Prefix } from '../../shared/address.ts';
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

/** Our chain, where it is jumped to from, and what is in it. */
interface Place {
  table: 'nat' | 'filter' | 'mangle';
  parent: string;
  chain: string;
  /** where the jump goes among others' rules: last or first */
  jump: '-A' | '-I';
  /** on the jump, and on rules that have none of their own */
  comment: string;
  /** which packets jump, each as -S has it: nothing else is to pay for the chain. Default: all, once */
  matches?(wishes: FirewallWishes): string[];
  rules(family: FirewallFamily, wishes: FirewallWishes): Rule[];
  ruleComment?(family: FirewallFamily): string;
}

const MASQUERADE: Place = {
  table: 'nat',
  parent: 'POSTROUTING',
  chain: 'FLANNEL-POSTRTG',
  jump: '-A',
  comment: 'flanneld masq',
  rules: masqueradeRules,
};
const FORWARD: Place = {
  table: 'filter',
  parent: 'FORWARD',
  chain: 'FLANNEL-FWD',
  jump: '-A',
  comment: 'flanneld forward',
  rules: forwardRules,
};
/** In mangle, because there nobody accepts packets before we have seen them. */
const GUARD: Place = {
  table: 'mangle',
  parent: 'FORWARD',
  chain: 'WEFT-GUARD',
  jump: '-I',
  comment: 'weft guard',
  matches: guardMatches,
  rules: guardRules,
  ruleComment: guardComment,
};
/** UDP as a whole, of which there is little; of TCP, which is most of the traffic, the guarded ports alone. */
function guardMatches({ guarded }: FirewallWishes): string[] {
  const matches = guarded.map(({ protocol, port }) =>
    protocol === 'tcp' ? `-p tcp -m tcp --dport ${port}` : '-p udp',
  );
  return [...new Set(matches)];
}

/** In the order of writing: nothing is masqueraded unguarded. */
const PLACES = [GUARD, MASQUERADE, FORWARD];
const TOOL = { 4: 'iptables', 6: 'ip6tables' } as const;

/** kube-proxy decided already; one such rule at the head serves all. */
const MARK_RULE = `-m mark --mark ${KUBE_MARK}/${KUBE_MARK} -m comment --comment "${MASQUERADE.comment}" -j RETURN`;

/** What the kernel has of a place, lines as -S prints them. */
interface Found {
  jumps: string[];
  /** rules in the parent chain, where releases before 0.20 put them */
  direct: string[];
  /** our rules in the chain, in order */
  rules: string[];
  /** number of another daemon's rules in the chain, and of mark rules */
  others: number;
  mark: number;
  exists: boolean;
}

export class IptablesFirewall implements Firewall {
  readonly flavour = 'iptables';
  /** the nf_tables kind is; of the legacy kind the kernel says nothing */
  isAnnounced = false;
  private readonly wishes: FirewallWishes;
  private readonly run: Exec;
  /** what each place looked like after we wrote it */
  private readonly written = new Map<string, string>();

  constructor(wishes: FirewallWishes, run: Exec) {
    this.wishes = wishes;
    this.run = run;
  }

  /** A place that the host refuses does not keep the others from being written. */
  async ensure(): Promise<string> {
    const changed: string[] = [];
    const failures: unknown[] = [];
    for (const family of this.wishes.families) {
      for (const place of PLACES) {
        try {
          if (await this.ensurePlace(family, place))
            changed.push(`${TOOL[family.family]} ${place.chain}`);
        } catch (error) {
          failures.push(error);
        }
      }
    }
    if (failures.length > 0) throw failures[0];
    // Asked again after each change: packages may be exchanged.
    if (changed.length > 0) this.isAnnounced = await this.areAllNftables();
    return changed.join(', ');
  }

  private async areAllNftables(): Promise<boolean> {
    for (const { family } of this.wishes.families)
      if (!(await this.run(TOOL[family], ['--version'])).includes('nf_tables')) return false;
    return true;
  }

  private async ensurePlace(family: FirewallFamily, place: Place): Promise<boolean> {
    const tool = TOOL[family.family];
    const id = `${tool} ${place.chain}`;
    const rules = place.rules(family, this.wishes);
    const look = async (): Promise<Found> =>
      lookAt(tool, place, ownPrefixes(family, this.wishes), this.run);
    const found = await look();
    if (rules.length === 0) return remove(tool, place, found, this.run);
    if (this.written.get(id) === ownPart(found)) return false;
    const random = place === MASQUERADE ? await this.randomPorts(tool) : '';
    const comment = place.ruleComment?.(family) ?? place.comment;
    const texts = rules.map((rule) => textOf(rule, comment, random));
    await this.write(tool, place, found, texts);
    this.written.set(id, ownPart(await look()));
    return true;
  }

  /** One transaction: nobody ever sees half of it. A jump that is right keeps its place among others' rules. */
  private async write(
    tool: string,
    place: Place,
    found: Found,
    rules: readonly string[],
  ): Promise<void> {
    const { table, chain, jump } = place;
    const { direct, rules: stale, mark, exists } = found;
    const { missing, doomed } = compareJumps(place, found, this.wishes);
    const lines = [
      `*${table}`,
      ...(exists ? [] : [`:${chain} - [0:0]`]), // naming one that exists would empty it
      ...[...direct, ...doomed, ...stale].map((line) => line.replace(/^-A/, '-D')),
      ...(jump === '-I' ? missing.reverse() : missing).map((line) => line.replace(/^-A/, jump)),
      ...(place === MASQUERADE && mark === 0 ? [`-I ${chain} 1 ${MARK_RULE}`] : []),
      ...rules.map((rule) => `-A ${chain} ${rule}`),
      'COMMIT',
    ];
    await this.run(`${tool}-restore`, ['--noflush', '--wait'], `${lines.join('\n')}\n`);
  }

  private async randomPorts(tool: string): Promise<string> {
    const isRandom = this.wishes.fullyRandom && (await knowsRandomFully(tool, this.run));
    return isRandom ? ' --random-fully' : '';
  }
}

/**
 * Jumps that are not there, and those that are too many. Where others share the chain their jumps stay, and the one jump for all packets
 * that an older weft made serves us as well: it would take ours for doubles of its own.
 */
function compareJumps(
  { parent, chain, comment, matches }: Place,
  { jumps, others }: Found,
  wishes: FirewallWishes,
): { missing: string[]; doomed: string[] } {
  const jumpOf = (match: string): string =>
    `-A ${parent}${match && ` ${match}`} -m comment --comment "${comment}" -j ${chain}`;
  const isServed = others > 0 && jumps.includes(jumpOf(''));
  const wanted = isServed ? [jumpOf('')] : (matches?.(wishes) ?? ['']).map(jumpOf);
  const isSpare = (line: string, i: number): boolean =>
    jumps.indexOf(line) !== i || (others === 0 && !wanted.includes(line));
  return {
    missing: wanted.filter((line) => !jumps.includes(line)),
    doomed: jumps.filter(isSpare),
  };
}

const TARGETS = { accept: 'ACCEPT', return: 'RETURN', masquerade: 'MASQUERADE', drop: 'DROP' };

/** A rule in the order of words that -S has. `random`: what follows MASQUERADE. */
function textOf(rule: Rule, comment: string, random: string): string {
  const { from, to, notIn, notOut, destination, verdict } = rule;
  return [
    ...address('-s', from),
    ...address('-d', to),
    ...(notIn === undefined ? [] : [`! -i ${notIn.replace(/\*$/, '+')}`]),
    ...(notOut === undefined ? [] : [`! -o ${notOut}`]),
    ...(destination ? [`-p ${destination.protocol} --dport ${destination.port}`] : []),
    `-m comment --comment "${comment}"`,
    `-j ${TARGETS[verdict]}${verdict === 'masquerade' ? random : ''}`,
  ].join(' ');
}

function address(flag: string, match: AddressMatch | undefined): string[] {
  if (!match) return [];
  const { not, text, mask } = match;
  return [`${not ? '! ' : ''}${flag} ${mask === undefined ? text : `${text}/${mask}`}`];
}

/** What must not change without us. */
function ownPart({ others, ...own }: Found): string {
  return JSON.stringify(own);
}

/** --random-fully came with iptables 1.6.2. */
async function knowsRandomFully(tool: string, run: Exec): Promise<boolean> {
  const [, major = 0, minor = 0, patch = 0] =
    /v(\d+)\.(\d+)\.(\d+)/.exec(await run(tool, ['--version'])) ?? [];
  return Number(major) * 10_000 + Number(minor) * 100 + Number(patch) >= 10_602;
}

async function lookAt(
  tool: string,
  { table, parent, chain, comment }: Place,
  own: readonly Prefix[] | 'any',
  run: Exec,
): Promise<Found> {
  const list = async (name: string): Promise<string[] | undefined> => {
    const text = await run(tool, ['--wait', '-t', table, '-S', name]).catch((error) => {
      if (isMissingCommand(error)) throw error;
      return undefined; // no such chain; what else is wrong shows when rules are written
    });
    return text?.split('\n').filter((line) => line.startsWith('-A'));
  };
  const isOurs = (line: string): boolean => own === 'any' || isAbout(line, own);
  const all = (await list(parent)) ?? [];
  const inside = await list(chain);
  const isMark = (line: string): boolean => line.includes('-m mark');
  return {
    jumps: all.filter((line) => line.endsWith(`-j ${chain}`)),
    direct: all.filter((line) => line.includes(comment) && !line.endsWith(chain) && isOurs(line)),
    rules: (inside ?? []).filter((line) => isOurs(line) && !isMark(line)),
    others: (inside ?? []).filter((line) => !isOurs(line) && !isMark(line)).length,
    mark: (inside ?? []).filter(isMark).length,
    exists: inside !== undefined,
  };
}

/** True when there was something. Another daemon's rules keep chain and jump. */
async function remove(tool: string, place: Place, found: Found, run: Exec): Promise<boolean> {
  const { table, chain } = place;
  const { jumps, direct, rules, others, exists } = found;
  const isShared = others > 0;
  const doomed = [...direct, ...rules, ...(isShared ? [] : jumps)];
  if (doomed.length === 0 && (isShared || !exists)) return false;
  const lines = [
    `*${table}`,
    ...doomed.map((line) => line.replace(/^-A/, '-D')),
    ...(isShared || !exists ? [] : [`-F ${chain}`, `-X ${chain}`]),
    'COMMIT',
  ];
  await run(`${tool}-restore`, ['--noflush', '--wait'], `${lines.join('\n')}\n`);
  return true;
}

export async function removeIptables(run: Exec): Promise<string[]> {
  const removed: string[] = [];
  for (const tool of Object.values(TOOL)) {
    for (const place of PLACES) {
      try {
        if (await remove(tool, place, await lookAt(tool, place, 'any', run), run))
          removed.push(`${tool} ${place.table} ${place.chain}`);
      } catch (error) {
        if (!isMissingCommand(error)) throw error;
      }
    }
  }
  return removed;
}
