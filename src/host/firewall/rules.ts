/** The rules in the words of neither tool: flannel's, and the guard that flannel does not have. iptables.ts and nftables.ts spell them. */
import {
  familyOf,
  formatAddress,
  formatPrefix,
  MAPPED_WORD,
  maskOfWord,
  type Words,
} from '../../shared/address.ts';
import { type FirewallFamily, type FirewallWishes, MULTICAST } from './wishes.ts';

export interface AddressMatch {
  not: boolean;
  /** a prefix, or the address that is left under the mask */
  text: string;
  mask?: string;
}

export interface Rule {
  from?: AddressMatch;
  to?: AddressMatch;
  /** devices by which the packet did not come and does not leave; "*" at the end stands for anything */
  notIn?: string;
  notOut?: string;
  destination?: { protocol: 'udp' | 'tcp'; port: number };
  verdict: 'accept' | 'return' | 'masquerade' | 'drop';
}

/** The TAPs of tunnel GSO: this host's own datagrams come back from them to be routed. */
const HELPERS = 'weft.*';

const is = (text: string): AddressMatch => ({ not: false, text });
const isNot = (text: string): AddressMatch => ({ not: true, text });

export function masqueradeRules(
  { family, network, subnet }: FirewallFamily,
  { masquerade }: FirewallWishes,
): Rule[] {
  if (!masquerade) return [];
  const [n, p] = [formatPrefix(network), formatPrefix(subnet)];
  return [
    { from: is(p), to: is(n), verdict: 'return' },
    { from: is(n), to: is(p), verdict: 'return' },
    { from: isNot(n), to: is(p), verdict: 'return' },
    { from: is(n), to: isNot(MULTICAST[family]), verdict: 'masquerade' },
    { from: isNot(n), to: is(n), verdict: 'masquerade' },
  ];
}

export function forwardRules({ network }: FirewallFamily, { forward }: FirewallWishes): Rule[] {
  const n = is(formatPrefix(network));
  return forward
    ? [
        { from: n, verdict: 'accept' },
        { to: n, verdict: 'accept' },
      ]
    : [];
}

/**
 * What pods send to nodes' own ports is dropped, because masquerading would give it the address of this node, which the receiver takes
 * for a peer's. The rules sit at the forward hook: behind the DNAT of services, ahead of every masquerading, and where nothing passes
 * that this host itself sends. A packet is a pod's by its source, so another machine's VXLAN may be routed through this host. Pods may
 * still nest overlays: what goes to pods of this node or leaves by the overlay device keeps the pod's own address. `network` as the
 * source, not `subnet`, because masquerading takes all of it.
 */
export function guardRules(wish: FirewallFamily, { guarded }: FirewallWishes): Rule[] {
  const { network, subnet, device } = wish;
  return guarded.flatMap(({ protocol, port, underlay }) => {
    const destination = { protocol, port };
    const leaving: Rule = {
      from: is(formatPrefix(network)),
      to: isNot(formatPrefix(subnet)),
      notIn: HELPERS,
      ...(device !== undefined && { notOut: device }),
      destination,
      verdict: 'drop',
    };
    const toNodes: Rule = { to: overlayAddresses(wish), destination, verdict: 'drop' };
    return underlay ? [leaving, toNodes] : [toNodes];
  });
}

/** The nodes' own addresses in the overlay: the first of each subnet, so its host bits are zero. */
function overlayAddresses({ network, subnet }: FirewallFamily): AddressMatch {
  const bits = network.words.map(
    (_, i) => maskOfWord(network.bits, i) | ~maskOfWord(subnet.bits, i),
  );
  const mask = familyOf(network.words) === 4 ? [0, 0, MAPPED_WORD, bits[3]] : bits;
  return {
    not: false,
    text: formatAddress(network.words),
    mask: formatAddress(mask as unknown as Words),
  };
}
