/** Rules of a firewall in the words of neither tool: what a walk needs of them. */
import type { Packet } from './packet.ts';

/** undefined: it can't be told from the rules alone */
export type Answer = boolean | undefined;
export type Test = (packet: Packet) => Answer;

/** `unknown`: may end the packet, accept it or let it go on. */
export type Action =
  | { kind: 'accept' | 'drop' | 'return' | 'next' | 'unknown' }
  | { kind: 'jump' | 'goto'; chain: string };

export interface Rule {
  /** all must hold */
  tests: Test[];
  /** what the rule does to the packet, before its action */
  change?: (packet: Packet) => Partial<Packet>;
  action: Action;
  /** as its tool prints it */
  text: string;
  /** of nft */
  handle?: number;
}

export interface Base {
  hook: string;
  priority: number;
  policy: 'accept' | 'drop';
  /** of ingress chains */
  devices: readonly string[];
}

export interface Chain {
  name: string;
  base?: Base;
  rules: Rule[];
}

export type Tool = 'nft' | 'iptables' | 'ip6tables' | 'iptables-legacy' | 'ip6tables-legacy';
export type Family = 'ip' | 'ip6' | 'inet' | 'bridge' | 'netdev';

export interface Table {
  /** with which people see and change it */
  tool: Tool;
  family: Family;
  name: string;
  chains: Map<string, Chain>;
}

/** What is left when one says no is no; what nobody knows stays unknown. */
export function allOf(answers: Iterable<Answer>): Answer {
  let all: Answer = true;
  for (const answer of answers) {
    if (answer === false) return false;
    if (answer === undefined) all = undefined;
  }
  return all;
}

export function anyOf(answers: Iterable<Answer>): Answer {
  let any: Answer = false;
  for (const answer of answers) {
    if (answer) return true;
    if (answer === undefined) any = undefined;
  }
  return any;
}

export const not = (answer: Answer): Answer => (answer === undefined ? undefined : !answer);

/** Of a name that may be a pattern: `wildcard` at its end stands for anything. */
export function matchesDevice(name: string | undefined, pattern: string, wildcard: string): Answer {
  if (name === undefined) return undefined;
  return pattern.endsWith(wildcard) ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}
