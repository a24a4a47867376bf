/** Things by their prefix, asked for by overlap. A table of a size that the network config allows has tens of thousands. */
import { MAPPED_WORD, maskOfWord, type Prefix, type Words } from '../../shared/address.ts';
import { getOrMake } from '../../shared/memo.ts';

/** Members by network address, for one prefix length. IPv4 addresses are numbers: no text is made of them. */
type ByNetwork<T> = Map<string | number, T[]>;

/**
 * Members come and go. A question costs a look-up per prefix length in use and what it finds, a change as much per length that was asked
 * for, however many members there are.
 */
export class PrefixIndex<T> {
  private readonly prefixOf: (member: T) => Prefix;
  /** by prefix length */
  private readonly members = new Map<number, ByNetwork<T>>();
  /** by each length that {@link within} was asked for: longer members that lie in a network of it */
  private readonly inside = new Map<number, ByNetwork<T>>();

  constructor(prefixOf: (member: T) => Prefix) {
    this.prefixOf = prefixOf;
  }

  add(member: T): void {
    const { words, bits } = this.prefixOf(member);
    push(
      getOrMake(this.members, bits, (): ByNetwork<T> => new Map()),
      words,
      bits,
      member,
    );
    for (const [asked, networks] of this.inside)
      if (asked < bits) push(networks, words, asked, member);
  }

  remove(member: T): void {
    const { words, bits } = this.prefixOf(member);
    const networks = this.members.get(bits);
    if (networks) pull(networks, words, bits, member);
    if (networks?.size === 0) this.members.delete(bits);
    for (const [asked, longer] of this.inside) if (asked < bits) pull(longer, words, asked, member);
  }

  /** Prefix lengths of all members. */
  lengths(): Iterable<number> {
    return this.members.keys();
  }

  *ofLength(bits: number): Iterable<T> {
    for (const members of this.members.get(bits)?.values() ?? []) yield* members;
  }

  /** Members whose prefix holds this one, or is the same. */
  holding({ words, bits }: Prefix): T[] {
    const found: T[] = [];
    for (const [length, networks] of this.members) {
      if (length > bits) continue;
      const members = networks.get(networkOf(words, length));
      if (members) found.push(...members);
    }
    return found;
  }

  /** Longer members that lie in this prefix. */
  within({ words, bits }: Prefix): readonly T[] {
    const networks = this.inside.get(bits) ?? this.indexBy(bits);
    return networks.get(networkOf(words, bits)) ?? [];
  }

  /** Members that hold this prefix or lie in it. */
  overlapping(prefix: Prefix): T[] {
    return [...this.holding(prefix), ...this.within(prefix)];
  }

  private indexBy(bits: number): ByNetwork<T> {
    const networks: ByNetwork<T> = new Map();
    for (const length of this.members.keys()) {
      if (length <= bits) continue;
      for (const member of this.ofLength(length))
        push(networks, this.prefixOf(member).words, bits, member);
    }
    this.inside.set(bits, networks);
    return networks;
  }
}

function push<T>(networks: ByNetwork<T>, words: Words, bits: number, member: T): void {
  const network = networkOf(words, bits);
  const members = networks.get(network);
  if (members) members.push(member);
  else networks.set(network, [member]);
}

function pull<T>(networks: ByNetwork<T>, words: Words, bits: number, member: T): void {
  const network = networkOf(words, bits);
  const members = networks.get(network);
  const at = members?.indexOf(member) ?? -1;
  if (!members || at < 0) return;
  members[at] = members[members.length - 1] as T;
  members.pop();
  if (members.length === 0) networks.delete(network);
}

/** The network of `bits` that an address lies in. */
function networkOf(words: Words, bits: number): string | number {
  const isIpv4 = words[0] === 0 && words[1] === 0 && words[2] === MAPPED_WORD && bits >= 96;
  if (isIpv4) return words[3] & maskOfWord(bits, 3);
  return words.map((word, i) => word & maskOfWord(bits, i)).join(' ');
}
