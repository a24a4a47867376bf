/**
 * Leases claim subnets, and claims may clash. The verdict is a function of the claims alone, whatever the order in which they came, so
 * that all nodes agree: a smaller key goes before a larger one. A change is judged together with what it touches, not with all the rest.
 */
import { formatAddress, type Prefix, prefixLength } from '../shared/address.ts';
import { PREFIX_LENGTHS_MAX } from '../shared/limits.ts';
import { overlaps } from './lease/arithmetic.ts';
import { PrefixIndex } from './lease/prefix-index.ts';
import type { Peer, Skipped } from './peers.ts';

export type Fault = Omit<Skipped, 'key'>;

export interface Claim {
  readonly peer: Peer;
  /** it has its subnet: no smaller key that overlaps has its own */
  isGranted: boolean;
  /** why it is not granted */
  clash: Fault | undefined;
  /** why it is no peer all the same */
  loop: Fault | undefined;
}

/** How many peers all families may have together. */
export interface Seats {
  taken: number;
  readonly most: number;
}

export function claimOf(peer: Peer): Claim {
  return { peer, isGranted: false, clash: undefined, loop: undefined };
}

/** All claims of one family. */
export class Claims {
  private readonly own: Prefix | undefined;
  private readonly usualBits: number;
  private readonly seats: Seats;
  private readonly bySubnet = new PrefixIndex<Claim>(({ peer }) => peer.subnet);
  private readonly byAddress = new PrefixIndex<Claim>(({ peer }) => ({
    words: peer.address,
    bits: 128,
  }));
  private readonly countOfLength = new Map<number, number>();
  /** prefix lengths that the table takes; undefined: all that there are */
  private lengths: ReadonlySet<number> | undefined;
  /** to be judged by the next {@link settle}: may it have its subnet, and does its address lie in one */
  private readonly doubts = new Set<Claim>();
  private readonly loopDoubts = new Set<Claim>();
  private readonly waitForSeat = new Set<Claim>();

  /** `own`: this node's subnet; `usualBits`: the length that the network config hands out. */
  constructor(own: Prefix | undefined, usualBits: number, seats: Seats) {
    this.own = own;
    this.usualBits = usualBits;
    this.seats = seats;
  }

  add(claim: Claim): void {
    const { bits } = claim.peer.subnet;
    this.bySubnet.add(claim);
    this.byAddress.add(claim);
    this.countOfLength.set(bits, (this.countOfLength.get(bits) ?? 0) + 1);
    this.doubts.add(claim);
    this.loopDoubts.add(claim);
  }

  remove(claim: Claim): void {
    const { bits } = claim.peer.subnet;
    this.bySubnet.remove(claim);
    this.byAddress.remove(claim);
    const left = (this.countOfLength.get(bits) ?? 0) - 1;
    if (left > 0) this.countOfLength.set(bits, left);
    else this.countOfLength.delete(bits);
    for (const set of [this.doubts, this.loopDoubts, this.waitForSeat]) set.delete(claim);
    if (!claim.isGranted) return;
    this.seats.taken--;
    for (const other of this.touchedBy(claim)) this.doubts.add(other);
  }

  /** Judges what the changes since the last call have touched. Returns all claims whose verdict may be another one now. */
  settle(): ReadonlySet<Claim> {
    this.chooseLengths();
    let free = this.seats.most - this.seats.taken;
    for (const claim of this.waitForSeat) if (free-- > 0) this.doubts.add(claim);
    const touched = new Set<Claim>();
    const queue = new KeyQueue(this.doubts);
    for (let claim = queue.take(); claim; claim = queue.take()) {
      touched.add(claim);
      const wasGranted = claim.isGranted;
      this.judge(claim);
      if (claim.isGranted !== wasGranted)
        for (const other of this.touchedBy(claim)) queue.add(other);
    }
    this.doubts.clear();
    for (const claim of this.loopDoubts) {
      touched.add(claim);
      claim.loop = this.loopOf(claim);
    }
    this.loopDoubts.clear();
    return touched;
  }

  private judge(claim: Claim): void {
    const { seats } = this;
    const wasGranted = claim.isGranted;
    this.waitForSeat.delete(claim);
    claim.clash = this.oddityOf(claim) ?? this.clashOf(claim);
    if (!claim.clash && !wasGranted && seats.taken >= seats.most) {
      this.waitForSeat.add(claim);
      claim.clash = {
        kind: 'beyond the size of the table',
        why: `the table has ${seats.most} peers`,
      };
    }
    claim.isGranted = claim.clash === undefined;
    seats.taken += Number(claim.isGranted) - Number(wasGranted);
  }

  /** Claims of larger keys that overlap this one; those whose address lies in it are noted besides. */
  private touchedBy({ peer }: Claim): Claim[] {
    for (const other of this.byAddress.within(peer.subnet)) this.loopDoubts.add(other);
    return this.bySubnet.overlapping(peer.subnet).filter((other) => other.peer.key > peer.key);
  }

  private clashOf({ peer: { key, subnet } }: Claim): Fault | undefined {
    const kind = "overlapping another node's subnet";
    if (this.own && overlaps(this.own, subnet))
      return { kind, why: "overlaps this node's own subnet" };
    let first: string | undefined;
    for (const { peer, isGranted } of this.bySubnet.overlapping(subnet))
      if (isGranted && peer.key < (first ?? key)) first = peer.key;
    return first === undefined ? undefined : { kind, why: `overlaps ${first}` };
  }

  /**
   * What is sent to an address of pods would be wrapped again and again. Only leased subnets are pods': Network may be as wide as the
   * site and hold the nodes, too.
   */
  private loopOf({ peer: { address } }: Claim): Fault | undefined {
    const place = { words: address, bits: 128 };
    const isOurs = this.own && overlaps(this.own, place);
    const holder = isOurs
      ? "this node's own subnet"
      : this.bySubnet.holding(place).find(({ isGranted }) => isGranted)?.peer.key;
    if (holder === undefined) return undefined;
    const why = `public address lies inside the overlay, in the subnet of ${holder}`;
    return { kind: 'with a public address inside the overlay', why };
  }

  private oddityOf({ peer: { subnet } }: Claim): Fault | undefined {
    if (!this.lengths || this.lengths.has(subnet.bits)) return undefined;
    const why = `too many prefix lengths: few other leases have /${prefixLength(subnet)}, as ${formatAddress(subnet.words)} has`;
    return { kind: 'with an odd prefix length', why };
  }

  /** Each length costs every packet a look-up. Where there are too many, those of the most leases stay, and the usual one's neighbours. */
  private chooseLengths(): void {
    const { countOfLength, lengths, usualBits } = this;
    const isMany = countOfLength.size > PREFIX_LENGTHS_MAX;
    if (!isMany && !lengths) return;
    const far = (bits: number): number => Math.abs(bits - usualBits);
    const ranked = [...countOfLength].sort(
      ([a, countOfA], [b, countOfB]) => countOfB - countOfA || far(a) - far(b) || a - b,
    );
    const best = ranked.slice(0, PREFIX_LENGTHS_MAX).map(([bits]) => bits);
    const chosen = isMany ? new Set(best) : undefined;
    for (const bits of countOfLength.keys()) {
      const was = lengths?.has(bits) ?? true;
      const is = chosen?.has(bits) ?? true;
      if (was !== is) for (const claim of this.bySubnet.ofLength(bits)) this.doubts.add(claim);
    }
    this.lengths = chosen;
  }
}

/** Claims in the order of their keys; each is taken before any that it adds, whose keys are larger. */
class KeyQueue {
  private readonly first: readonly Claim[];
  private at = 0;
  /** added later, the largest key first */
  private readonly more: Claim[] = [];
  private readonly waiting: Set<Claim>;

  constructor(claims: Iterable<Claim>) {
    this.waiting = new Set(claims);
    this.first = [...this.waiting].sort((a, b) => (a.peer.key < b.peer.key ? -1 : 1));
  }

  add(claim: Claim): void {
    if (this.waiting.has(claim)) return;
    this.waiting.add(claim);
    let [low, high] = [0, this.more.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.more[middle] as Claim).peer.key > claim.peer.key) low = middle + 1;
      else high = middle;
    }
    this.more.splice(low, 0, claim);
  }

  take(): Claim | undefined {
    const [next, added] = [this.first[this.at], this.more.at(-1)];
    const claim = next && (!added || next.peer.key < added.peer.key) ? next : added;
    if (!claim) return undefined;
    if (claim === next) this.at++;
    else this.more.pop();
    this.waiting.delete(claim);
    return claim;
  }
}
