/** From the walks of sample packets to a finding: which rule, and how to remove it or go round it. */
import { printable } from '../../../shared/printable.ts';
import { type Finding, fail, ok, skipped, warn } from '../check.ts';
import { type Packet, renderPacket } from './packet.ts';
import type { Table } from './ruleset.ts';
import { type Place, type Verdict, walk } from './walk.ts';

const RULE_CHARACTERS_MAX = 160;

/** What should pass, in the words of each tool. */
export interface Passage {
  iptables: string;
  nft: string;
}

/** The worst of them, and how many more. */
export function judgeWalks(
  tables: readonly Table[],
  packets: readonly Packet[],
  passageOf: (packet: Packet) => Passage,
): Finding {
  if (packets.length === 0) return skipped('no network config, or no interface');
  const stopped = packets.flatMap((packet) => {
    const verdict = walk(tables, packet);
    return verdict.kind === 'accepted' ? [] : [{ packet, verdict }];
  });
  const worst = stopped.find(({ verdict }) => verdict.kind === 'dropped') ?? stopped[0];
  if (!worst) return ok(`${packets.length} sample packets pass`);
  const { packet, verdict } = worst;
  const more = stopped.length > 1 ? `; ${stopped.length} of ${packets.length} sample packets` : '';
  const text = `${renderPacket(packet)} ${renderVerdict(verdict)}${more}`;
  const fix = fixOf(verdict.by, passageOf(packet));
  return verdict.kind === 'dropped' ? fail(text, fix) : warn(text, fix);
}

function renderVerdict(verdict: Exclude<Verdict, { kind: 'accepted' }>): string {
  const by = renderPlace(verdict.by);
  if (verdict.kind === 'dropped') return `is dropped by ${by}`;
  return verdict.because.rule === verdict.by.rule
    ? `may be dropped by ${by}, which can't be judged from here`
    : `may be dropped by ${by}: it depends on ${renderPlace(verdict.because)}, which can't be judged from here`;
}

/** "-A FORWARD -j REJECT" (iptables filter FORWARD, rule 1) */
function renderPlace({ table, chain, base, rule }: Place): string {
  const where = printable(`${table.tool} ${nameOf(table)} ${chain.name}`);
  if (!rule) return `the policy of ${where}`;
  const at =
    rule.handle === undefined ? `rule ${chain.rules.indexOf(rule) + 1}` : `handle ${rule.handle}`;
  const from = chain === base ? '' : printable(`, from ${base.name}`);
  return `"${printable(rule.text, RULE_CHARACTERS_MAX)}" (${where}, ${at}${from})`;
}

/** Whoever wrote a rule chose its text, so that none of it stands in a command; names are quoted. */
function fixOf({ table, chain, base, rule }: Place, passage: Passage): string {
  const isNft = table.tool === 'nft';
  const before = isNft
    ? `nft insert rule ${nameOf(table, quoted)} ${quoted(base.name)} ${passage.nft} accept`
    : `${table.tool} -t ${quoted(table.name)} -I ${quoted(base.name)} ${passage.iptables} -j ACCEPT`;
  if (!rule) return before;
  const remove = isNft
    ? `nft delete rule ${nameOf(table, quoted)} ${quoted(chain.name)} handle ${rule.handle}`
    : `${table.tool} -t ${quoted(table.name)} -D ${quoted(chain.name)} ${chain.rules.indexOf(rule) + 1}`;
  return `let it pass ahead of that: ${before}; or remove the rule: ${remove}`;
}

function nameOf({ tool, family, name }: Table, write = (word: string): string => word): string {
  return tool === 'nft' ? `${family} ${write(name)}` : write(name);
}

function quoted(name: string): string {
  const clean = printable(name);
  return /^[\w.-]+$/.test(clean) ? clean : `'${clean.replaceAll("'", '?')}'`;
}
