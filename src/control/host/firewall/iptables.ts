/** flannel's rules for iptables, with its text: e2e tests and other tools compare it. */
import { formatPrefix } from '../../../shared/address.ts';
import type { Exec } from '../exec.ts';
import {
  type Firewall,
  type FirewallFamily,
  type FirewallWishes,
  KUBE_MARK,
  MULTICAST,
} from './firewall.ts';

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

/** What the kernel has of a place, as -S prints it. */
interface Found {
  /** rules of ours in the parent chain */
  jumps: string[];
  /** undefined when there is no such chain */
  rules: string[] | undefined;
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
    const found = await look(tool, place, this.run);
    if (!isWished) return remove(tool, place, found, this.run);
    if (this.written.get(id) === JSON.stringify(found)) return false;
    const rules = place === MASQUERADE ? await this.masqueradeRules(family) : forwardRules(family);
    await this.write(tool, place, found, rules);
    this.written.set(id, JSON.stringify(await look(tool, place, this.run)));
    return true;
  }

  /** One transaction: nobody ever sees half of it. A jump that is right keeps its place among others' rules. */
  private async write(
    tool: string,
    place: Place,
    { jumps }: Found,
    rules: readonly string[],
  ): Promise<void> {
    const { table, parent, chain, comment } = place;
    const jump = `-A ${parent} -m comment --comment "${comment}" -j ${chain}`;
    const [first, ...others] = jumps.filter((line) => line === jump);
    const stale = [...jumps.filter((line) => line !== jump), ...others];
    const lines = [
      `*${table}`,
      `:${chain} - [0:0]`, // makes the chain, or empties it
      ...stale.map((line) => line.replace(/^-A/, '-D')),
      ...(first === undefined ? [jump] : []),
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
      `-m mark --mark ${KUBE_MARK}/${KUBE_MARK} ${comment} -j RETURN`,
      `-s ${p} -d ${n} ${comment} -j RETURN`,
      `-s ${n} -d ${p} ${comment} -j RETURN`,
      `! -s ${n} -d ${p} ${comment} -j RETURN`,
      `-s ${n} ! -d ${MULTICAST[family]} ${comment} ${masquerade}`,
      `! -s ${n} -d ${n} ${comment} ${masquerade}`,
    ];
  }
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

async function look(
  tool: string,
  { table, parent, chain, comment }: Place,
  run: Exec,
): Promise<Found> {
  const list = async (name: string): Promise<string[] | undefined> => {
    const text = await run(tool, ['--wait', '-t', table, '-S', name]).catch((error) => {
      if (/command not found/.test(String(error))) throw error;
      return undefined; // no such chain; what else is wrong shows when rules are written
    });
    return text?.split('\n').filter((line) => line.startsWith('-A'));
  };
  const all = (await list(parent)) ?? [];
  const isOurs = (line: string): boolean =>
    line.includes(`-j ${chain}`) || line.includes(`--comment "${comment}"`);
  return { jumps: all.filter(isOurs), rules: await list(chain) };
}

/** True when there was something. */
async function remove(tool: string, place: Place, found: Found, run: Exec): Promise<boolean> {
  const { table, chain } = place;
  if (found.jumps.length === 0 && found.rules === undefined) return false;
  const lines = [
    `*${table}`,
    ...found.jumps.map((line) => line.replace(/^-A/, '-D')),
    ...(found.rules === undefined ? [] : [`-F ${chain}`, `-X ${chain}`]),
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
        if (await remove(tool, place, await look(tool, place, run), run))
          removed.push(`${tool} ${place.table} ${place.chain}`);
      } catch (error) {
        if (!/command not found/.test(String(error))) throw error;
      }
    }
  }
  return removed;
}
