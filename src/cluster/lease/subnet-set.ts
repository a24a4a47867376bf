/** Does a subnet overlap one of many? A table of a size that the network config allows has tens of thousands. */
import { MAPPED_WORD, maskOfWord, type Prefix, type Words } from '../../shared/address.ts';
import { getOrMake } from '../../shared/memo.ts';

/** Keys of subnets by network address, for one prefix length. IPv4 addresses are numbers: no text is made of them. */
type ByNetwork = Map<string | number, string>;

/** Subnets and who has them. A question costs a look-up per prefix length in use, however many subnets there are. */
export class SubnetSet {
  /** by prefix length */
  private readonly keys = new Map<number, ByNetwork>();
  /** every network of an asked length that holds a member, for questions about wider ones */
  private readonly inside = new Map<number, ByNetwork>();
  private readonly members: [Prefix, string][] = [];

  add(subnet: Prefix, key: string): void {
    const sameLength = getOrMake(this.keys, subnet.bits, (): ByNetwork => new Map());
    sameLength.set(networkOf(subnet.words, subnet.bits), key);
    this.members.push([subnet, key]);
    for (const [bits, networks] of this.inside) networks.set(networkOf(subnet.words, bits), key);
  }

  /** Key of a member that holds this subnet. */
  holding(subnet: Prefix): string | undefined {
    for (const [bits, networks] of this.keys) {
      if (bits > subnet.bits) continue;
      const key = networks.get(networkOf(subnet.words, bits));
      if (key !== undefined) return key;
    }
    return undefined;
  }

  /** Key of a member that holds this subnet or lies in it. */
  overlapping(subnet: Prefix): string | undefined {
    const key = this.holding(subnet);
    if (key !== undefined) return key;
    const networks = this.inside.get(subnet.bits) ?? this.indexBy(subnet.bits);
    return networks.get(networkOf(subnet.words, subnet.bits));
  }

  private indexBy(bits: number): ByNetwork {
    const networks: ByNetwork = new Map();
    for (const [subnet, key] of this.members) networks.set(networkOf(subnet.words, bits), key);
    this.inside.set(bits, networks);
    return networks;
  }
}

/** The network of `bits` that an address lies in. */
function networkOf(words: Words, bits: number): string | number {
  const isIpv4 = words[0] === 0 && words[1] === 0 && words[2] === MAPPED_WORD && bits >= 96;
  if (isIpv4) return words[3] & maskOfWord(bits, 3);
  return words.map((word, i) => word & maskOfWord(bits, i)).join(' ');
}
