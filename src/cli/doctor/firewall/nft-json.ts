/** Reads what `nft -j list ruleset` prints (libnftables-json(5)). What it does not know here is a test of unknown result. */
import { addressNumber, numberOf, prefixRange } from '../address-number.ts';
import type { Packet } from './packet.ts';
import {
  type Action,
  type Answer,
  allOf,
  anyOf,
  type Chain,
  type Family,
  matchesDevice,
  not,
  type Rule,
  type Table,
  type Test,
} from './ruleset.ts';
import { actionOfTarget } from './targets.ts';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
/** What an expression yields; undefined: unknown, null: the packet has no such field, so that the rule does not match. */
type Value = bigint | string | readonly (bigint | string)[] | null | undefined;

const FLAGS: Readonly<Record<string, bigint>> = {
  fin: 1n,
  syn: 2n,
  rst: 4n,
  psh: 8n,
  ack: 16n,
  urg: 32n,
  ecn: 64n,
  cwr: 128n,
};
const PROTOCOLS: Readonly<Record<string, string>> = { '1': 'icmp', '6': 'tcp', '17': 'udp' };
const ACCEPTING = ['masquerade', 'snat', 'dnat', 'redirect'];
/** They do not decide, as far as a sample can see. */
const PASSING = ['counter', 'log', 'comment', 'continue', 'set', 'dup', 'ct helper', 'flow'];

interface Sets {
  get(name: string): Json[] | undefined;
}

/** `texts`: each rule as nft prints it, by {@link ruleKey}; `devices`: of ingress chains, which older releases leave out. */
export function tablesOfNft(
  json: string,
  texts: ReadonlyMap<string, string>,
  devices: ReadonlyMap<string, readonly string[]>,
): Table[] {
  const objects = (JSON.parse(json) as { nftables: { [kind: string]: Json }[] }).nftables;
  const of = (...kinds: string[]): { [key: string]: Json }[] =>
    objects.flatMap((each) =>
      kinds.flatMap((kind) => {
        const fields = fieldsOf(each[kind] ?? null);
        return fields ? [fields] : [];
      }),
    );
  const tables = new Map<string, Table>();
  const keyOf = (family: Json, name: Json): string => `${text(family)} ${text(name)}`;
  for (const { family, name } of of('table'))
    tables.set(keyOf(family as Json, name as Json), {
      tool: 'nft',
      family: text(family) as Family,
      name: text(name),
      chains: new Map(),
    });
  for (const row of of('chain')) {
    const key = keyOf(row['family'] as Json, row['table'] as Json);
    const chain = chainOf(row, devices.get(`${key} ${text(row['name'])}`) ?? []);
    tables.get(key)?.chains.set(chain.name, chain);
  }
  const sets = new Map<string, Json[]>();
  for (const row of of('set', 'map'))
    sets.set(
      `${keyOf(row['family'] as Json, row['table'] as Json)} ${text(row['name'])}`,
      list(row['elem']),
    );
  for (const row of of('rule')) {
    const key = keyOf(row['family'] as Json, row['table'] as Json);
    const chain = `${key} ${text(row['chain'])}`;
    const handle = Number(row['handle']);
    const ownSets = { get: (name: string) => sets.get(`${key} ${name}`) };
    const rules = new RuleReader(ownSets).read(list(row['expr']));
    const shown = texts.get(ruleKey(chain, handle)) ?? JSON.stringify(row['expr']);
    tables
      .get(key)
      ?.chains.get(text(row['chain']))
      ?.rules.push(...rules.map((rule) => ({ ...rule, handle, text: shown })));
  }
  return [...tables.values()];
}

export function ruleKey(chain: string, handle: number): string {
  return `${chain} ${handle}`;
}

function chainOf(row: { [key: string]: Json }, devices: readonly string[]): Chain {
  const name = text(row['name']);
  if (row['hook'] === undefined) return { name, rules: [] };
  const own = list(row['dev']).map(text);
  const base = {
    hook: text(row['hook']),
    priority: Number(row['prio']),
    policy: row['policy'] === 'drop' ? ('drop' as const) : ('accept' as const),
    devices: own.length > 0 ? own : devices,
  };
  return { name, base, rules: [] };
}

/** A verdict map is a rule for each of its elements. */
class RuleReader {
  private readonly sets: Sets;
  private readonly tests: Test[] = [];
  private change: Rule['change'];
  private actions: { test?: Test; action: Action }[] = [];

  constructor(sets: Sets) {
    this.sets = sets;
  }

  read(statements: Json[]): Rule[] {
    for (const statement of statements) {
      const [name, body] = Object.entries(fieldsOf(statement) ?? {})[0] ?? [];
      if (name !== undefined) this.readStatement(name, body as Json);
    }
    if (this.actions.length === 0) this.actions.push({ action: { kind: 'next' } });
    const { tests, change } = this;
    return this.actions.map(({ test, action }) => ({
      tests: test ? [...tests, test] : tests,
      action,
      text: '',
      ...(change && { change }),
    }));
  }

  private readStatement(name: string, body: Json): void {
    const action = actionOf(name, body);
    if (action) this.actions = [{ action }];
    else if (name === 'match') this.tests.push(matchTest(fieldsOf(body) ?? {}, this.sets));
    else if (name === 'vmap') this.readMap(fieldsOf(body) ?? {});
    else if (name === 'notrack') this.change = () => ({ state: 'untracked' });
    else if (name === 'mangle') this.readChange(fieldsOf(body) ?? {});
    else if (name === 'xt') this.readXt(fieldsOf(body) ?? {});
    else if (!PASSING.includes(name)) this.tests.push(() => undefined);
  }

  private readMap({ key = null, data = null }: { [key: string]: Json }): void {
    const named = typeof data === 'string' ? this.sets.get(data.slice(1)) : undefined;
    const pairs = named ?? list(fieldsOf(data)?.['set']);
    const rows = pairs.filter(Array.isArray) as Json[][];
    // What is for all others comes last.
    rows.sort((a, b) => Number(a[0] === '*') - Number(b[0] === '*'));
    this.actions = rows.flatMap(([element = null, verdict = null]) => {
      const [name, body] = Object.entries(fieldsOf(verdict) ?? {})[0] ?? [];
      const action = name === undefined ? undefined : actionOf(name, body as Json);
      const test: Test = (packet) => holds(element, valueIn(key, packet), this.sets);
      return action ? [{ test, action }] : [];
    });
  }

  private readChange({ key = null, value = null }: { [key: string]: Json }): void {
    if (fieldsOf(fieldsOf(key)?.['meta'] ?? null)?.['key'] !== 'mark') return;
    this.change = (packet) => ({ mark: markAfter(value, packet) });
  }

  /** An extension of iptables, of which nft knows only the name. */
  private readXt({ type, name }: { [key: string]: Json }): void {
    if (type === 'target')
      this.actions = [{ action: actionOfTarget(text(name)) ?? { kind: 'unknown' } }];
    else if (name !== 'comment') this.tests.push(() => undefined);
  }
}

function actionOf(name: string, body: Json): Action | undefined {
  if (name === 'accept' || name === 'drop' || name === 'return') return { kind: name };
  if (name === 'continue') return { kind: 'next' };
  if (name === 'reject') return { kind: 'drop' };
  if (ACCEPTING.includes(name)) return { kind: 'accept' };
  if (['queue', 'fwd', 'tproxy', 'synproxy'].includes(name)) return { kind: 'unknown' };
  const chain = text(fieldsOf(body)?.['target']);
  return name === 'jump' || name === 'goto' ? { kind: name, chain } : undefined;
}

function matchTest(
  { op = '==', left = null, right = null }: { [key: string]: Json },
  sets: Sets,
): Test {
  return (packet) => {
    const value = valueIn(left, packet);
    if (value === null) return false;
    if (op === 'in' && typeof value === 'bigint' && isFlags(left))
      return (value & flagsOf(right)) !== 0n;
    if (op === '==' || op === 'in') return holds(right, value, sets);
    if (op === '!=') return not(holds(right, value, sets));
    const [other] = typeof right === 'number' ? [BigInt(right)] : [];
    if (typeof value !== 'bigint' || other === undefined) return undefined;
    if (op === '<') return value < other;
    if (op === '<=') return value <= other;
    if (op === '>') return value > other;
    return op === '>=' ? value >= other : undefined;
  };
}

/** Whether the right side of a match, or an element of a set, holds the value. */
function holds(right: Json, value: Value, sets: Sets): Answer {
  if (value === null) return false;
  if (right === '*') return true;
  if (typeof right === 'string' && right.startsWith('@')) {
    const elements = sets.get(right.slice(1));
    return elements && anyOf(elements.map((each) => holds(each, value, sets)));
  }
  if (value === undefined) return undefined;
  if (Array.isArray(right)) {
    // A verdict map's or a data map's element is a pair; bits are a list.
    return anyOf(right.map((each) => holds(each, value, sets)));
  }
  const fields = fieldsOf(right);
  if (!fields) return isEqual(right, value);
  const { set, range, prefix, concat, elem } = fields;
  if (set !== undefined) return anyOf(list(set).map((each) => holds(each, value, sets)));
  if (elem !== undefined) return holds(fieldsOf(elem)?.['val'] ?? null, value, sets);
  if (concat !== undefined) {
    if (!Array.isArray(value)) return undefined;
    const parts = value as readonly (bigint | string)[];
    return allOf(list(concat).map((each, i) => holds(each, parts[i], sets)));
  }
  if (typeof value !== 'bigint') return undefined;
  const [first, last] = prefix === undefined ? list(range).map(scalar) : rangeOf(prefix);
  if (first === undefined || last === undefined) return undefined;
  return value >= first && value <= last;
}

function rangeOf(prefix: Json): [bigint, bigint] | [] {
  const { addr, len } = fieldsOf(prefix) ?? {};
  return prefixRange(text(addr), Number(len)) ?? [];
}

function isEqual(right: Json, value: Value): Answer {
  if (typeof value === 'bigint') {
    const other = typeof right === 'string' ? (FLAGS[right] ?? scalar(right)) : scalar(right);
    return other === undefined ? undefined : value === other;
  }
  if (typeof value !== 'string') return undefined;
  if (typeof right === 'number') return value === (PROTOCOLS[right] ?? String(right));
  if (typeof right === 'boolean') return (value !== '') === right;
  return matchesDevice(value, text(right), '*');
}

/** A number, or an address as one. */
function scalar(json: Json | undefined): bigint | undefined {
  if (typeof json === 'number') return BigInt(json);
  return typeof json === 'string' ? addressNumber(json) : undefined;
}

function valueIn(left: Json, packet: Packet): Value {
  const fields = fieldsOf(left) ?? {};
  const { meta, payload, ct, fib, concat } = fields;
  if (meta !== undefined) return metaOf(text(fieldsOf(meta)?.['key']), packet);
  if (payload !== undefined) return payloadOf(fieldsOf(payload) ?? {}, packet);
  if (ct !== undefined) return conntrackOf(text(fieldsOf(ct)?.['key']), packet);
  if (fib !== undefined) return routeOf(fieldsOf(fib) ?? {}, packet);
  if (concat !== undefined) return concatOf(list(concat), packet);
  const [term = null, mask = null] = list(fields['&']);
  const value = valueIn(term, packet);
  if (value === null) return null;
  const bits = isFlags(term) ? flagsOf(mask) : scalar(mask);
  return typeof value === 'bigint' && bits !== undefined ? value & bits : undefined;
}

function concatOf(terms: Json[], packet: Packet): Value {
  const values = terms.map((term) => valueIn(term, packet));
  if (values.includes(null)) return null;
  const isKnown = values.every((each) => typeof each === 'bigint' || typeof each === 'string');
  return isKnown ? (values as (bigint | string)[]) : undefined;
}

function metaOf(key: string, packet: Packet): Value {
  const { family, protocol, inDevice, outDevice, mark } = packet;
  if (key === 'iifname' || key === 'iif') return inDevice;
  if (key === 'oifname' || key === 'oif') return outDevice;
  if (key === 'l4proto') return protocol;
  if (key === 'nfproto') return `ipv${family}`;
  if (key === 'protocol') return family === 4 ? 'ip' : 'ip6';
  if (key === 'mark') return mark;
  return key === 'pkttype' ? 'host' : undefined;
}

function payloadOf({ protocol, field }: { [key: string]: Json }, packet: Packet): Value {
  const isIp = protocol === 'ip' || protocol === 'ip6';
  if (isIp && protocol !== (packet.family === 4 ? 'ip' : 'ip6')) return null;
  if (isIp && field === 'saddr') return numberOf(packet.from);
  if (isIp && field === 'daddr') return numberOf(packet.to);
  if (isIp && (field === 'protocol' || field === 'nexthdr')) return packet.protocol;
  if (protocol === 'ether' && field === 'type') return packet.family === 4 ? 'ip' : 'ip6';
  const isTransport = ['tcp', 'udp', 'icmp', 'icmpv6', 'sctp', 'dccp', 'udplite', 'arp', 'igmp'];
  if (isTransport.includes(text(protocol)) && protocol !== packet.protocol) return null;
  if (field === 'dport') return BigInt(packet.port);
  if (field === 'sport') return BigInt(packet.sourcePort);
  return field === 'flags' && protocol === 'tcp' ? FLAGS['syn'] : undefined;
}

/** A new connection: nothing is translated or marked. */
function conntrackOf(key: string, { state }: Packet): Value {
  if (key === 'state') return state;
  if (key === 'status') return 'none';
  return key === 'direction' ? 'original' : undefined;
}

/** A sample comes in where its answer would leave, so there is a route back. */
function routeOf({ result, flags }: { [key: string]: Json }, packet: Packet): Value {
  const isSource = list(flags).includes('saddr');
  if (result === 'type')
    return (isSource ? packet.isFromLocal : packet.isToLocal) ? 'local' : 'unicast';
  return isSource ? packet.inDevice : undefined;
}

function markAfter(value: Json, packet: Packet): bigint | undefined {
  if (typeof value === 'number') return BigInt(value);
  const [[operator, terms] = []] = Object.entries(fieldsOf(value) ?? {});
  const [first, second] = list(terms).map((term) => scalar(term) ?? valueIn(term, packet));
  if (typeof first !== 'bigint' || typeof second !== 'bigint') return undefined;
  if (operator === '|') return first | second;
  if (operator === '^') return first ^ second;
  return operator === '&' ? first & second : undefined;
}

function isFlags(left: Json): boolean {
  const { protocol, field } = fieldsOf(fieldsOf(left)?.['payload'] ?? null) ?? {};
  return protocol === 'tcp' && field === 'flags';
}

/** "syn", or a list, or names joined by "|". */
function flagsOf(json: Json): bigint {
  if (typeof json === 'string') return FLAGS[json] ?? 0n;
  if (typeof json === 'number') return BigInt(json);
  const all = Array.isArray(json) ? json : list(fieldsOf(json)?.['|']);
  return all.reduce<bigint>((sum, each) => sum | flagsOf(each), 0n);
}

function fieldsOf(json: Json): { [key: string]: Json } | undefined {
  return typeof json === 'object' && json !== null && !Array.isArray(json) ? json : undefined;
}

function list(json: Json | undefined): Json[] {
  if (json === undefined || json === null) return [];
  return Array.isArray(json) ? json : [json];
}

function text(json: Json | undefined): string {
  return typeof json === 'string' ? json : String(json ?? '');
}
