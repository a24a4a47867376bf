/** flannel's rules for iptables, with its text: e2e tests and other tools compare it. */
import { formatPrefix, type Prefix } from '../../shared/address.ts';
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

/** Our chain, where it is jumped to from, and the comment on every rule. */
interface Place {
  table: 'nat' | 'filter';
  parent: string;
  chain: string;
  comment: string;
}

const MASQUERADE: Place = {
  table: 'nat',
  parent: 'POSTROUTING',
  chain: 'FLANNEL-POSTRTG',
  comment: 'flanneld masq',
};
const FORWARD: Place = {
  table: 'filter',
  parent: 'FORWARD',
  chain: 'FLANNEL-FWD',
  comment: 'flanneld forward',
};
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
  private readonly wishes: FirewallWishes;
  private readonly run: Exec;
  /** what each place looked like after we wrote it */
  private readonly written = new Map<string, string>();

  constructor(wishes: FirewallWishes, run: Exec) {
    this.wishes = wishes;
    this.run = run;
  }

  async ensure(): Promise<string> {
    const changed: string[] = [];
    for (const family of this.wishes.families) {
      for (const place of [MASQUERADE, FORWARD]) {
        if (await this.ensurePlace(family, place))
          changed.push(`${TOOL[family.family]} ${place.chain}`);
      }
    }
    return changed.join(', ');
  }

  private async ensurePlace(family: FirewallFamily, place: Place): Promise<boolean> {
    const tool = TOOL[family.family];
    const id = `${tool} ${place.chain}`;
    const isWished = place === MASQUERADE ? this.wishes.masquerade : this.wishes.forward;
    const look = async (): Promise<Found> =>
      lookAt(tool, place, ownPrefixes(family, this.wishes), this.run);
    const found = await look();
    if (!isWished) return remove(tool, place, found, this.run);
    if (this.written.get(id) === ownPart(found)) return false;
    const rules = place === MASQUERADE ? await this.masqueradeRules(family) : forwardRules(family);
    await this.write(tool, place, found, rules);
    this.written.set(id, ownPart(await look()));
    return true;
  }

  /** One transaction: nobody ever sees half of it. A jump that is right keeps its place among others' rules. */
  private async write(
    tool: string,
    place: Place,
    { jumps, direct, rules: stale, mark, exists }: Found,
    rules: readonly string[],
  ): Promise<void> {
    const { table, parent, chain, comment } = place;
    const lines = [
      `*${table}`,
      ...(exists ? [] : [`:${chain} - [0:0]`]), // naming one that exists would empty it
      ...[...direct, ...jumps.slice(1), ...stale].map((line) => line.replace(/^-A/, '-D')),
      ...(jumps.length > 0 ? [] : [`-A ${parent} -m comment --comment "${comment}" -j ${chain}`]),
      ...(place === MASQUERADE && mark === 0 ? [`-I ${chain} 1 ${MARK_RULE}`] : []),
      ...rules.map((rule) => `-A ${chain} ${rule}`),
      'COMMIT',
    ];
    await this.run(`${tool}-restore`, ['--noflush', '--wait'], `${lines.join('\n')}\n`);
  }

  private async masqueradeRules({ family, network, subnet }: FirewallFamily): Promise<string[]> {
    const [n, p] = [formatPrefix(network), formatPrefix(subnet)];
    const comment = `-m comment --comment "${MASQUERADE.comment}"`;
    const isRandom = this.wishes.fullyRandom && (await knowsRandomFully(TOOL[family], this.run));
    const masquerade = `-j MASQUERADE${isRandom ? ' --random-fully' : ''}`;
    return [
      `-s ${p} -d ${n} ${comment} -j RETURN`,
      `-s ${n} -d ${p} ${comment} -j RETURN`,
      `! -s ${n} -d ${p} ${comment} -j RETURN`,
      `-s ${n} ! -d ${MULTICAST[family]} ${comment} ${masquerade}`,
      `! -s ${n} -d ${n} ${comment} ${masquerade}`,
    ];
  }
}

/** What must not change without us. */
function ownPart({ others, ...own }: Found): string {
  return JSON.stringify(own);
}

function forwardRules({ network }: FirewallFamily): string[] {
  const n = formatPrefix(network);
  const tail = `-m comment --comment "${FORWARD.comment}" -j ACCEPT`;
  return [`-s ${n} ${tail}`, `-d ${n} ${tail}`];
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
    for (const place of [MASQUERADE, FORWARD]) {
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
