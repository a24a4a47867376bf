/** Does this host's firewall look at a UDP port of IPv4? Rules of ours do not count. */
import { readFile } from 'node:fs/promises';
import { type Exec, exec, isMissingCommand } from '../exec.ts';
import { GUARD_WORDS } from './wishes.ts';

/** Loads no module: kernels without the old iptables have no such file. Only root may read it. */
const LEGACY_IN_USE = '/proc/net/ip_tables_names';
/** Who may not read that sees here whether the old iptables can have rules, where its tables are modules. */
const MODULES = '/proc/modules';
const LEGACY_TABLE = /^iptable_(filter|raw|mangle|nat|security) /m;
/** A number alone or a range, and no part of an address. */
const PORTS = /(?<![\w.:/-])(\d{1,5})(?:[-:](\d{1,5}))?(?![\w.:/])/g;
/** What stands in a line that is about ports of UDP, or may be. */
const ABOUT_PORTS = /\b(dport|sport|dports|sports|ports|elements)\b|\bth\b|@th/;
/** A chain of nftables that the host's own packets meet. */
const HOOKED = /\bhook (ingress|egress|prerouting|input|output|postrouting)\b/;
/** A chain of either that lets nothing pass but what its rules name, whatever they look at. */
const POLICY_DROP = /\bpolicy drop\b/;
const CLOSED = [
  /^\s*:(PREROUTING|INPUT|OUTPUT|POSTROUTING) DROP\b/,
  /^\s*-A (PREROUTING|INPUT|OUTPUT|POSTROUTING)( -m comment --comment ("[^"]*"|\S+))? -j (DROP|REJECT)\b/,
];
/** In a chain that is hooked: a rule without any condition. */
const LAST_WORD =
  /^\s*(counter( packets \d+ bytes \d+)? )?(drop|reject( with .*)?)( comment ".*")?$/;
const ABOUT_TCP_ONLY = /\b(tcp|sctp|dccp) (dport|sport)\b|-p (tcp|sctp|dccp)\b/;

/** The first one's text, as its tool prints it; '' if there is none. Throws when rules may be there and can't be read. */
export async function ruleAboutUdpPort(port: number, run: Exec = exec): Promise<string> {
  const saved = await run('iptables-nft-save', []).catch(nothingWithoutTool);
  // Whoever made tables of nftables, this program shows them.
  const ruleset = await run('nft', ['-n', 'list', 'ruleset']);
  const texts = [othersThan(saved, ruleset), saved];
  if (await hasLegacyRules()) texts.push(await run('iptables-legacy-save', []));
  return texts.map((text) => lineAboutPort(text, port)).find((line) => line !== '') ?? '';
}

/** Whether the old iptables has, or may have, rules: the kernel announces no change of them. */
export async function hasLegacyRules(): Promise<boolean> {
  try {
    return (await readFile(LEGACY_IN_USE, 'utf8')) !== '';
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    return LEGACY_TABLE.test(await readFile(MODULES, 'utf8').catch(() => ''));
  }
}

function nothingWithoutTool(error: unknown): string {
  if (isMissingCommand(error)) return '';
  throw error;
}

/**
 * The tables that iptables does not show: of its own it shows more than nft, comments, by which ours are known, and extensions of which
 * nft prints the name at most. Those of IPv6 alone see no datagram of IPv4.
 */
function othersThan(saved: string, ruleset: string): string {
  const own = new Set([...saved.matchAll(/^\*(\w+)/gm)].map(([, name]) => `table ip ${name} {`));
  return ruleset
    .split(/^(?=table )/m)
    .filter((table) => !table.startsWith('table ip6 '))
    .filter((table) => !own.has(table.slice(0, table.indexOf('\n'))))
    .join('');
}

/** The first line that may stop a datagram to this port, '' if there is none. Exported for tests. */
export function lineAboutPort(text: string, port: number): string {
  let isBase = false;
  for (const line of text.split('\n')) {
    if (HOOKED.test(line)) isBase = true;
    if (line.trim() === '}') isBase = false;
    if (isBase && (POLICY_DROP.test(line) || LAST_WORD.test(line))) return line.trim();
    if (CLOSED.some((form) => form.test(line))) return line.trim();
    if (!ABOUT_PORTS.test(line) || ABOUT_TCP_ONLY.test(line) || line.includes(GUARD_WORDS))
      continue;
    const isIn = ([, first, last = first]: RegExpMatchArray): boolean =>
      Number(first) <= port && port <= Number(last);
    if ([...line.matchAll(PORTS)].some(isIn)) return line.trim();
  }
  return '';
}
