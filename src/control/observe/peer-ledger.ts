/**
 * Which peer has which slot of the workers' counters (memory/peer-counters.ts), and what they add up to. A peer keeps its slot for as
 * long as its lease is in the table; a slot that is given back is used again only by a later table, when no worker knows the old one.
 */

import { type Peer, type PeerChange, peerId } from '../../cluster/peers.ts';
import { PEER_COUNTER, PEER_COUNTERS, PEER_SLOTS } from '../../memory/peer-counters.ts';
import { getOrMake } from '../../shared/memo.ts';
import type { TableChange } from '../plane/table-sink.ts';
import { wallClock } from './monotonic.ts';

export interface PeerTotals {
  sentPackets: number;
  sentBytes: number;
  receivedPackets: number;
  receivedBytes: number;
  /** undefined: nothing was received from it since it is a peer */
  lastHeardAt: Date | undefined;
}

/** What goes past the workers for the peer that has a slot now (plane/shortcut.ts). */
export type PastWorkers = (slot: number) => PeerTotals;

const NOTHING: PeerTotals = {
  sentPackets: 0,
  sentBytes: 0,
  receivedPackets: 0,
  receivedBytes: 0,
  lastHeardAt: undefined,
};

interface Entry {
  slot: number;
  /** per worker, what the slot's last owner left there */
  before: readonly Float64Array[] | undefined;
  /** clock word that was the newest when somebody looked, and what time that is: a word alone is ambiguous after some weeks */
  heard: { word: number; at: Date } | undefined;
  /** what went past the workers through what has ended since */
  past: PeerTotals;
}

export class PeerLedger {
  private readonly blocks: readonly Float64Array[];
  /** by {@link peerId} */
  private readonly entries = new Map<string, Entry>();
  /** slots given back, the oldest first */
  private readonly free = new Set<number>();
  private readonly pastWorkers = new Set<PastWorkers>();
  private unused = 0;

  /** One block per worker. */
  constructor(blocks: readonly SharedArrayBuffer[]) {
    this.blocks = blocks.map((block) => new Float64Array(block));
  }

  /** The slots of those who change in the next table. No worker may use a table older than the newest. */
  assign(changes: readonly PeerChange[]): TableChange[] {
    const slotted = changes.map((change) => {
      const { slot } = getOrMake(this.entries, change.id, () => this.open());
      return { ...change, slot };
    });
    // Behind that: until the next table is out, workers use these.
    for (const { id, after } of changes) if (!after) this.giveBack(id);
    return slotted;
  }

  /** Nobody but these will be in the next table, which is a new one: no worker runs. */
  retain(peers: readonly Peer[]): void {
    const wanted = new Set(peers.map(peerId));
    for (const id of this.entries.keys()) if (!wanted.has(id)) this.giveBack(id);
  }

  private open(): Entry {
    if (this.unused < PEER_SLOTS)
      return { slot: this.unused++, before: undefined, heard: undefined, past: NOTHING };
    const [slot] = this.free;
    if (slot === undefined) throw new RangeError('no slot for a peer is free');
    this.free.delete(slot);
    const at = slot * PEER_COUNTERS;
    const before = this.blocks.map((block) => block.slice(at, at + PEER_COUNTERS));
    return { slot, before, heard: undefined, past: NOTHING };
  }

  private giveBack(id: string): void {
    const entry = this.entries.get(id);
    if (!entry) return;
    this.entries.delete(id);
    this.free.add(entry.slot);
  }

  /** undefined for who is in no table yet. */
  slotOf(peer: Pick<Peer, 'family' | 'key'>): number | undefined {
    return this.entries.get(peerId(peer))?.slot;
  }

  /** Counts this too from now on. Returns what ends it: the numbers until then stay in the totals. */
  alsoCount(past: PastWorkers): () => void {
    this.pastWorkers.add(past);
    return () => {
      if (!this.pastWorkers.delete(past)) return;
      for (const entry of this.entries.values()) entry.past = sumOf(entry.past, past(entry.slot));
    };
  }

  totalsOf(peer: Pick<Peer, 'family' | 'key'>): PeerTotals {
    const entry = this.entries.get(peerId(peer));
    if (!entry) return NOTHING;
    const past = [...this.pastWorkers].map((count) => count(entry.slot));
    return past.reduce(sumOf, sumOf(this.workersTotals(entry), entry.past));
  }

  private workersTotals(entry: Entry): PeerTotals {
    const sum = (counter: number): number =>
      this.blocks.reduce((total, _, i) => total + this.read(entry, i, counter), 0);
    return {
      sentPackets: sum(PEER_COUNTER.sentPackets),
      sentBytes: sum(PEER_COUNTER.sentBytes),
      receivedPackets: sum(PEER_COUNTER.receivedPackets),
      receivedBytes: sum(PEER_COUNTER.receivedBytes),
      lastHeardAt: this.lastHeardAt(entry),
    };
  }

  private read({ slot, before }: Entry, worker: number, counter: number): number {
    const now = this.blocks[worker]?.[slot * PEER_COUNTERS + counter] ?? 0;
    return now - (before?.[worker]?.[counter] ?? 0);
  }

  private lastHeardAt(entry: Entry): Date | undefined {
    const words = this.blocks
      .map((block) => block[entry.slot * PEER_COUNTERS + PEER_COUNTER.lastHeardMs] as number)
      .filter((word, i) => word !== (entry.before?.[i]?.[PEER_COUNTER.lastHeardMs] ?? 0));
    if (words.length === 0) return undefined;
    const newest = words.reduce((a, b) => (((b - a) | 0) > 0 ? b : a));
    if (entry.heard?.word !== newest)
      entry.heard = { word: newest, at: new Date(Math.min(Date.now(), wallClock()(newest))) };
    return entry.heard.at;
  }
}

function sumOf(a: PeerTotals, b: PeerTotals): PeerTotals {
  return {
    sentPackets: a.sentPackets + b.sentPackets,
    sentBytes: a.sentBytes + b.sentBytes,
    receivedPackets: a.receivedPackets + b.receivedPackets,
    receivedBytes: a.receivedBytes + b.receivedBytes,
    lastHeardAt: laterOf(a.lastHeardAt, b.lastHeardAt),
  };
}

function laterOf(a: Date | undefined, b: Date | undefined): Date | undefined {
  if (!a || !b) return a ?? b;
  return a > b ? a : b;
}
