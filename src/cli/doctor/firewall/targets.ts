/** What the targets of iptables do with a packet; any other name is a chain's, or unknown. */
import type { Action } from './ruleset.ts';

const KINDS: Readonly<Record<'accept' | 'drop' | 'return' | 'next', readonly string[]>> = {
  accept: ['ACCEPT', 'DNAT', 'SNAT', 'MASQUERADE', 'REDIRECT', 'NETMAP'],
  drop: ['DROP', 'REJECT', 'TARPIT'],
  return: ['RETURN'],
  // They write, mark or count, and the packet goes on.
  next: [
    ...['LOG', 'NFLOG', 'ULOG', 'AUDIT', 'TRACE', 'TEE', 'LED', 'RATEEST', 'IDLETIMER', 'SET'],
    ...['MARK', 'CONNMARK', 'SECMARK', 'CONNSECMARK', 'HMARK', 'CLASSIFY', 'CT', 'NOTRACK'],
    ...['TCPMSS', 'TCPOPTSTRIP', 'TOS', 'DSCP', 'ECN', 'TTL', 'HL', 'CHECKSUM'],
  ],
};

export function actionOfTarget(name: string): Action | undefined {
  for (const kind of ['accept', 'drop', 'return', 'next'] as const)
    if (KINDS[kind].includes(name)) return { kind };
  return undefined;
}
