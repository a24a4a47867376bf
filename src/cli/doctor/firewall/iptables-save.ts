/** Reads what iptables-save prints, of both families and of both its kinds, legacy and nft. */
import { addressNumber, numberOf, prefixRange } from '../address-number.ts';
import type { Packet } from './packet.ts';
import {
  type Action,
  type Answer,
  anyOf,
  type Base,
  type Chain,
  matchesDevice,
  not,
  type Rule,
  type Table,
  type Test,
  type Tool,
} from './ruleset.ts';
import { actionOfTarget } from './targets.ts';

const HOOKS = {
  PREROUTING: 'prerouting',
  INPUT: 'input',
  FORWARD: 'forward',
  OUTPUT: 'output',
  POSTROUTING: 'postrouting',
} as const;
const PRIORITIES: Readonly<Record<string, number>> = { raw: -300, mangle: -150, security: 50 };

export function tablesOfSave(text: string, family: 'ip' | 'ip6', tool: Tool): Table[] {
  const tables: Table[] = [];
  for (const line of text.split('\n')) {
    const table = tables.at(-1);
    if (line.startsWith('*')) tables.push({ tool, family, name: line.slice(1), chains: new Map() });
    else if (table && line.startsWith(':')) {
      const [name = '', policy = ''] = line.slice(1).split(' ');
      const base = baseOf(table.name, name, policy);
      table.chains.set(name, { name, rules: [], ...(base && { base }) });
    } else if (table && line.startsWith('-A ')) addRule(table, line);
  }
  return tables;
}

function baseOf(table: string, chain: string, policy: string): Base | undefined {
  if (!(chain in HOOKS)) return undefined;
  const hook = HOOKS[chain as keyof typeof HOOKS];
  const isSource = hook === 'postrouting' || hook === 'input';
  const priority = table === 'nat' ? (isSource ? 100 : -100) : (PRIORITIES[table] ?? 0);
  return { hook, priority, policy: policy === 'DROP' ? 'drop' : 'accept', devices: [] };
}

function addRule(table: Table, line: string): void {
  const words = wordsOf(line);
  const chain: Chain | undefined = table.chains.get(words[1] ?? '');
  chain?.rules.push(new RuleReader(words.slice(2)).read(line));
}

/** As a shell would split them: iptables-save quotes what has blanks. */
function wordsOf(line: string): string[] {
  const words = line.match(/"(\\.|[^"\\])*"|\S+/g) ?? [];
  return words.map((word) =>
    word.startsWith('"') ? word.slice(1, -1).replace(/\\(.)/g, '$1') : word,
  );
}

const UNKNOWN: Test = () => undefined;
/** Of these the options say it all. */
const PLAIN_MATCHES = new Set(
  'comment tcp udp multiport conntrack state mark addrtype iprange pkttype rpfilter'.split(' '),
);
/** Options that narrow a match which is read, in ways that don't matter to a sample; with their number of values. */
const SILENT_OPTIONS: Readonly<Record<string, number>> = {
  '--comment': 1,
  '--loose': 0,
  '--validmark': 0,
  '--accept-local': 0,
};

/** Options of matches that are read: all have one value. */
const OPTIONS: Readonly<Record<string, (value: string) => Test>> = {
  '-s': (value) => addressTest(value, ({ from }) => numberOf(from)),
  '-d': (value) => addressTest(value, ({ to }) => numberOf(to)),
  '-i': (value) => (packet) => matchesDevice(packet.inDevice, value, '+'),
  '-o': (value) => (packet) => matchesDevice(packet.outDevice, value, '+'),
  '-p': protocolTest,
  '--sport': (value) => (packet) => isPortIn(packet.sourcePort, value),
  '--dport': (value) => (packet) => isPortIn(packet.port, value),
  '--sports': (value) => (packet) => isPortIn(packet.sourcePort, value),
  '--dports': (value) => (packet) => isPortIn(packet.port, value),
  '--ports': (value) => (packet) =>
    isPortIn(packet.sourcePort, value) || isPortIn(packet.port, value),
  '--ctstate': stateTest,
  '--state': stateTest,
  '--mark': markTest,
  '--src-type': (value) => (packet) => isOfType(packet.isFromLocal, value),
  '--dst-type': (value) => (packet) => isOfType(packet.isToLocal, value),
  '--src-range': (value) => rangeTest(value, ({ from }) => numberOf(from)),
  '--dst-range': (value) => rangeTest(value, ({ to }) => numberOf(to)),
  '--pkt-type': (value) => () => value === 'unicast',
};

class RuleReader {
  private readonly words: string[];
  private readonly tests: Test[] = [];
  private action: Action = { kind: 'next' };
  private change: Rule['change'];

  constructor(words: string[]) {
    this.words = words;
  }

  read(text: string): Rule {
    while (this.words.length > 0) this.readOption();
    const { tests, action, change } = this;
    return { tests, action, text, ...(change && { change }) };
  }

  private next(): string {
    return this.words.shift() ?? '';
  }

  private readOption(): void {
    const isNot = this.words[0] === '!';
    if (isNot) this.next();
    const name = this.next();
    const make = OPTIONS[name];
    if (make) this.add(make(this.next()), isNot);
    else if (name === '-m') this.readMatch(this.next());
    else if (name === '-j') this.readTarget(this.next());
    else if (name === '-g') this.action = { kind: 'goto', chain: this.next() };
    else if (name === '--tcp-flags') this.add(flagsTest(this.next(), this.next()), isNot);
    else if (name === '--invert') this.tests.push(() => false);
    else if (name in SILENT_OPTIONS) this.words.splice(0, SILENT_OPTIONS[name]);
    else {
      this.tests.push(UNKNOWN);
      this.skipValues();
    }
  }

  private add(test: Test, isNot: boolean): void {
    this.tests.push(isNot ? (packet) => not(test(packet)) : test);
  }

  /** A packet of a sample comes in where its answer would leave: the reverse path filter lets it pass. */
  private readMatch(name: string): void {
    if (!PLAIN_MATCHES.has(name)) this.tests.push(UNKNOWN);
  }

  private skipValues(): void {
    while (this.words[0] !== undefined && !/^(-|!$)/.test(this.words[0])) this.next();
  }

  /** What follows a target is about what it does. */
  private readTarget(name: string): void {
    const options = this.words.splice(0);
    this.action = actionOfTarget(name) ?? { kind: 'jump', chain: name };
    if (name === 'NOTRACK' || options.includes('--notrack'))
      this.change = () => ({ state: 'untracked' });
    const [value, mask = 'ffffffff'] =
      options[options.indexOf('--set-xmark') + 1]?.split('/') ?? [];
    if (name === 'MARK' && options.includes('--set-xmark'))
      this.change = ({ mark }) => ({
        mark: mark === undefined ? undefined : (mark & ~hex(mask)) ^ hex(value),
      });
    else if (name === 'MARK' || options.includes('--restore-mark'))
      this.change = () => ({ mark: undefined });
  }
}

function hex(text: string | undefined): bigint {
  return BigInt(`0x${(text ?? '0').replace(/^0x/, '')}`);
}

function addressTest(value: string, of: (packet: Packet) => bigint): Test {
  const [address = '', mask = ''] = value.split('/');
  const own = addressNumber(address);
  if (own === undefined) return UNKNOWN;
  const maskNumber = addressNumber(mask);
  // A mask may have holes.
  if (maskNumber !== undefined) return (packet) => (of(packet) & maskNumber) === (own & maskNumber);
  const full = address.includes(':') ? 128 : 32;
  const range = prefixRange(address, mask === '' ? full : Number(mask));
  if (!range) return UNKNOWN;
  return (packet) => of(packet) >= range[0] && of(packet) <= range[1];
}

function rangeTest(value: string, of: (packet: Packet) => bigint): Test {
  const [first, last] = value.split('-').map(addressNumber);
  if (first === undefined || last === undefined) return UNKNOWN;
  return (packet) => of(packet) >= first && of(packet) <= last;
}

function protocolTest(value: string): Test {
  const names: Readonly<Record<string, string>> = { '6': 'tcp', '17': 'udp' };
  const name = names[value] ?? value;
  return ({ protocol }) => name === 'all' || name === protocol;
}

function isPortIn(port: number, value: string): boolean {
  return value.split(',').some((part) => {
    const [first = 0, last = first] = part.split(':').map(Number);
    return port >= first && port <= last;
  });
}

/** NAT has not happened to a sample. */
function stateTest(value: string): Test {
  const states = value.toLowerCase().split(',');
  return ({ state }) => (state === undefined ? undefined : states.includes(state));
}

function markTest(value: string): Test {
  const [own, mask = 'ffffffff'] = value.split('/');
  return ({ mark }) => (mark === undefined ? undefined : (mark & hex(mask)) === hex(own));
}

function isOfType(isLocal: boolean, value: string): Answer {
  return anyOf(value.split(',').map((type) => type === (isLocal ? 'LOCAL' : 'UNICAST')));
}

/** A sample of TCP is a SYN. */
function flagsTest(mask: string, set: string): Test {
  const isLooked = /\bSYN\b|\bALL\b/.test(mask);
  return ({ protocol }) => protocol === 'tcp' && (isLooked ? set === 'SYN' : set === 'NONE');
}
