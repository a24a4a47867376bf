/** The peers that the fast path knows, as one more table: what is not in it goes to the workers. IPv4 only. */
import type { Peer } from '../../cluster/peers.ts';
import {
  familyOf,
  formatAddress,
  formatPrefix,
  type Prefix,
  type Words,
} from '../../shared/address.ts';
import type { TableChange, TableSink } from '../plane/table-sink.ts';
import type { FastMaps } from './maps.ts';

/** Of a prefix that is a single address, IPv4 as well: they are mapped. */
const HOST_BITS = 128;

interface Entry {
  peer: Peer;
  slot: number;
  way: Way;
  isProbed: boolean;
}

/** How packets to a peer leave, and those from it come in. */
export interface Way {
  /** number of a device that may be used, 0 for the workers */
  egress: number;
  /** this device merges nothing in a tunnel, so that the merger does */
  isMerged: boolean;
}
export type Ways = (peer: Peer) => Way;

/** By the workers, both ways. */
export const NO_WAY: Way = { egress: 0, isMerged: false };

export class FastTable implements TableSink {
  private readonly maps: FastMaps;
  /** by id of the peer */
  private readonly entries = new Map<string, Entry>();
  /** addresses of this host, as text */
  private guards = new Map<string, Prefix>();
  private ways: Ways = () => NO_WAY;
  private publications = 0;

  constructor(maps: FastMaps) {
    this.maps = maps;
  }

  async settled(): Promise<void> {
    // A program reads an entry once for each packet.
  }

  /** Who is gone is gone at once; who comes is reached by the workers until {@link take} finds a way. */
  async publish(changes: readonly TableChange[]): Promise<number> {
    const own = changes.filter(({ before, after }) => (before ?? after)?.family === 4);
    for (const change of own) this.remove(change);
    for (const change of own) this.add(change);
    return ++this.publications;
  }

  private remove({ id, after, slot }: TableChange): void {
    const entry = this.entries.get(id);
    if (!entry) return;
    const { subnet } = entry.peer;
    if (!this.guards.has(formatPrefix(subnet))) this.maps.remove(subnet);
    if (after) return;
    this.maps.removeCounts(slot);
    this.entries.delete(id);
  }

  private add({ id, after, slot }: TableChange): void {
    if (!after) return;
    if (this.entries.get(id)?.slot !== slot) this.maps.addCounts(slot);
    const entry = { peer: after, slot, way: this.ways(after), isProbed: false };
    this.entries.set(id, entry);
    this.write(entry);
  }

  private write({ peer, slot, way, isProbed }: Entry): void {
    const { subnet, address, mac } = peer;
    if (this.guards.has(formatPrefix(subnet))) return;
    this.maps.setPeer(subnet, { address: address[3], mac, slot, ...way, isProbed });
  }

  /** Peers leave by these ways from now on. */
  take(ways: Ways): void {
    this.ways = ways;
    for (const entry of this.entries.values()) this.change(entry, ways(entry.peer), false);
  }

  /** Lets the probe, and nothing else, leave to this peer by a way. Returns its slot; undefined where it is no peer any more. */
  probe(id: string, way: Way): number | undefined {
    const entry = this.entries.get(id);
    if (!entry) return undefined;
    // Whoever leaves that way already need not stop.
    if (entry.way.egress !== way.egress) this.change(entry, way, true);
    return entry.slot;
  }

  private change(entry: Entry, way: Way, isProbed: boolean): void {
    const { egress, isMerged } = entry.way;
    if (egress === way.egress && isMerged === way.isMerged && entry.isProbed === isProbed) return;
    entry.way = way;
    entry.isProbed = isProbed;
    this.write(entry);
  }

  /** How many peers have a way. */
  carriedPeers(): number {
    let count = 0;
    for (const { way, isProbed } of this.entries.values())
      if (way.egress !== 0 && !isProbed) count++;
    return count;
  }

  /** Of the counts that are kept. */
  slots(): number[] {
    return [...this.entries.values()].map(({ slot }) => slot);
  }

  /** These are the host's addresses: no peer speaks for one of them. */
  guard(addresses: readonly Words[]): void {
    const wanted = new Map(
      addresses
        .filter((words) => familyOf(words) === 4)
        .map((words) => [`${formatAddress(words)}/32`, words]),
    );
    const gone = new Set<string>();
    for (const [text, prefix] of this.guards) {
      if (wanted.has(text)) continue;
      this.maps.remove(prefix);
      this.guards.delete(text);
      gone.add(text);
    }
    if (gone.size > 0) this.writeAgain(gone);
    for (const [text, words] of wanted) {
      if (this.guards.has(text)) continue;
      const prefix = { words, bits: HOST_BITS };
      this.maps.setGuard(prefix);
      this.guards.set(text, prefix);
    }
  }

  /** Peers whose whole subnets guards stood for. */
  private writeAgain(subnets: ReadonlySet<string>): void {
    for (const entry of this.entries.values()) {
      const { subnet } = entry.peer;
      if (subnet.bits === HOST_BITS && subnets.has(formatPrefix(subnet))) this.write(entry);
    }
  }
}
