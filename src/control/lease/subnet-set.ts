/** Does a subnet overlap one of many? A table of a size that the network config allows has tens of thousands. */
import { maskOfWord, type Prefix, type Words } from '../../shared/address.ts';

/** Subnets and who has them. A question costs a look-up per prefix length in use, however many subnets there are. */
export class SubnetSet {
  /** prefix length and network address → key */
  private readonly keys = new Map<string, string>();
  /** every network that holds a member, for questions about wider ones */
  private readonly inside = new Map<string, string>();
  private readonly lengths = new Set<number>();
  private readonly asked = new Set<number>();
  private readonly members: [Prefix, string][] = [];

  add(subnet: Prefix, key: string): void {
    this.keys.set(idOf(subnet.words, subnet.bits), key);
    this.lengths.add(subnet.bits);
    this.members.push([subnet, key]);
    for (const bits of this.asked) this.inside.set(idOf(subnet.words, bits), key);
  }

  /** Key of a member that holds this subnet or lies in it. */
  overlapping(subnet: Prefix): string | undefined {
    for (const bits of this.lengths) {
      if (bits > subnet.bits) continue;
      const key = this.keys.get(idOf(subnet.words, bits));
      if (key !== undefined) return key;
    }
    if (!this.asked.has(subnet.bits)) this.indexBy(subnet.bits);
    return this.inside.get(idOf(subnet.words, subnet.bits));
  }

  private indexBy(bits: number): void {
    this.asked.add(bits);
    for (const [subnet, key] of this.members) this.inside.set(idOf(subnet.words, bits), key);
  }
}

/** The network of `bits` that an address lies in. */
function idOf(words: Words, bits: number): string {
  return `${bits} ${words.map((word, i) => word & maskOfWord(bits, i)).join(' ')}`;
}
