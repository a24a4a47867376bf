/**
 * A shortcut with a table and numbers of its own that carries what the test says. Also the sample of what a shortcut must do: it is one
 * file, and the books know of it by its interface alone.
 */
import type { Peer } from '../../src/cluster/peers.ts';
import type { PeerTotals } from '../../src/control/observe/peer-ledger.ts';
import type { Shortcut, ShortcutSummary } from '../../src/control/plane/shortcut.ts';
import type { TableChange, TableSink } from '../../src/control/plane/table-sink.ts';
import { sumBlocks, type Totals } from '../../src/memory/counters.ts';
import type { LinkTask } from '../../src/memory/worker-task.ts';

interface Slot {
  owner: string;
  packets: number;
}

export class ToyShortcut implements Shortcut {
  readonly name = 'toy';
  readonly features = 0;
  readonly table: TableSink;
  private readonly isCountedByWorkers: boolean;
  private readonly slots = new Map<number, Slot>();
  private sums = sumBlocks([]);
  private publications = 0;

  constructor({ isCountedByWorkers = false } = {}) {
    this.isCountedByWorkers = isCountedByWorkers;
    this.table = {
      settled: async () => undefined,
      publish: async (changes) => this.take(changes),
    };
  }

  /** Packets to the peer that has this slot. */
  carry(slot: number, packets: number): void {
    const known = this.slots.get(slot);
    if (known) known.packets += packets;
    this.sums.counters.outPackets += packets;
    this.sums.counters.sentPackets += packets;
  }

  setTotals(totals: Totals): void {
    this.sums = totals;
  }

  begin(): void {
    // needs nothing of the links
  }

  equip(link: LinkTask): LinkTask {
    return link;
  }

  isDue(): boolean {
    return false;
  }

  recall(peer: Peer): Peer {
    return peer;
  }

  async look(peers: readonly Peer[]): Promise<readonly Peer[]> {
    return peers;
  }

  totals(): Totals | undefined {
    return this.isCountedByWorkers ? undefined : structuredClone(this.sums);
  }

  perPeer(slot: number): PeerTotals {
    const sentPackets = this.slots.get(slot)?.packets ?? 0;
    const received = { receivedPackets: 0, receivedBytes: 0, lastHeardAt: undefined };
    return { sentPackets, sentBytes: 0, ...received };
  }

  summary(): ShortcutSummary {
    return { name: this.name, device: 'toy0', egress: [] };
  }

  async close(): Promise<void> {
    // holds nothing
  }

  private take(changes: readonly TableChange[]): number {
    for (const { after, slot } of changes)
      if (after && this.slots.get(slot)?.owner !== after.key)
        this.slots.set(slot, { owner: after.key, packets: 0 });
    return ++this.publications;
  }
}
