/** What the rules are to achieve, whichever tool writes them. */
import { formatPrefix, type Prefix } from '../../shared/address.ts';

export interface FirewallFamily {
  family: 4 | 6;
  /** the whole overlay */
  network: Prefix;
  /** this node's share */
  subnet: Prefix;
  /** the overlay's device; absent where the backend has none */
  device?: string;
}

/** A port at which nodes listen to each other, and pods have no business. */
export interface GuardedPort {
  protocol: 'udp' | 'tcp';
  port: number;
  /** nodes listen on their underlay addresses; else in the overlay only */
  underlay: boolean;
}

export interface FirewallWishes {
  families: readonly FirewallFamily[];
  masquerade: boolean;
  /** fully random source ports, where the tool knows them */
  fullyRandom: boolean;
  /** accept the overlay's traffic in FORWARD */
  forward: boolean;
  /** drop what pods send there */
  guarded: readonly GuardedPort[];
  /** networks and subnets of an earlier run: rules about them are ours too */
  previous?: readonly Prefix[];
}

export type Flavour = 'iptables' | 'nftables';

export interface Firewall {
  /** Which tool writes the rules; undefined until one was found. */
  readonly flavour: Flavour | undefined;
  /** Whether the kernel announces it when somebody changes these rules, as far as the last ensure knows. */
  readonly isAnnounced: boolean;
  /**
   * Installs the rules or heals them, order included; changes nothing when all is in place. Returns what it changed, '' if nothing.
   * Throws WeftError ERR_COMMAND or ERR_COMMAND_MISSING with what is missing.
   */
  ensure(): Promise<string>;
}

/**
 * Whether a rule, as the tool prints it, is about one of these prefixes. Chains and tables may be shared with another daemon of
 * flannel's kind on this host, whose rules are about its own network.
 */
export function isAbout(line: string, prefixes: readonly Prefix[]): boolean {
  const words = line.split(/[\s"]+/);
  return prefixes.some((prefix) => words.includes(formatPrefix(prefix)));
}

/** The prefixes of a family and of an earlier run. */
export function ownPrefixes(
  { network, subnet }: FirewallFamily,
  { previous = [] }: FirewallWishes,
): Prefix[] {
  return [network, subnet, ...previous];
}

/** By these words everybody knows a guard rule. */
export const GUARD_WORDS = 'weft guard of';

/** The comment on a guard rule; it names the network, because not every one of these rules matches by it. */
export function guardComment({ network }: FirewallFamily): string {
  return `${GUARD_WORDS} ${formatPrefix(network)}`;
}

/** Traffic that is never masqueraded on its way out. */
export const MULTICAST = { 4: '224.0.0.0/4', 6: 'ff00::/8' } as const;
/** kube-proxy marks what it masquerades itself. */
export const KUBE_MARK = '0x4000';
