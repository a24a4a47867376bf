/**
 * Which peer has which slot of the workers' counters (memory/peer-counters.ts), and what they add up to. A peer keeps its slot for as
 * long as its lease is in the table; a slot that is given back is used again only by a later table, when no worker knows the old one.
 */

import type { Peer } from '../../cluster/peers.ts';
import { PEER_COUNTER, PEER_COUNTERS, PEER_SLOTS } from '../../memory/peer-counters.ts';
import { getOrMake } from '../../shared/memo.ts';
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
  /** the last table that had this peer */
  round: number;
  /** per worker, what the slot's last owner left there */
  before: readonly Float64Array[] | undefined;
  /** clock word that was the newest when somebody looked, and what time that is: a word alone is ambiguous after some weeks */
  heard: { word: number; at: Date } | undefined;
  /** what went past the workers through what has ended since */
  past: PeerTotals;
}

export class PeerLedger {
  private readonly blocks: readonly Float64Array[];
  private readonly entries = { 4: new Map<string, Entry>(), 6: new Map<string, Entry>() };
  /** slots given back, the oldest first */
  private readonly free = new Set<number>();
  private readonly pastWorkers = new Set<PastWorkers>();
  private unused = 0;
  private round = 0;

  /** One block per worker. */
  constructor(blocks: readonly SharedArrayBuffer[]) {
    this.blocks = blocks.map((block) => new Float64Array(block));
  }

  /** The slots of these peers, who are the whole next table. No worker may use a table older than the newest. */
  assign(peers: readonly Peer[]): number[] {
    this.round++;
    const slots = peers.map((peer) => {
      const entry = getOrMake(this.entries[peer.family], peer.key, () => this.open());
      entry.round = this.round;
      return entry.slot;
    });
    if (this.entries[4].size + this.entries[6].size > peers.length) this.giveBack();
    return slots;
  }

  private open(): Entry {
    if (this.unused < PEER_SLOTS)
      return { slot: this.unused++, round: 0, before: undefined, heard: undefined, past: NOTHING };
    const [slot] = this.free;
    if (slot === undefined) throw new RangeError('no slot for a peer is free');
    this.free.delete(slot);
    const at = slot * PEER_COUNTERS;
    const before = this.blocks.map((block) => block.slice(at, at + PEER_COUNTERS));
    return { slot, round: 0, before, heard: undefined, past: NOTHING };
  }

  private giveBack(): void {
    for (const entries of Object.values(this.entries)) {
      for (const [key, { slot, round }] of entries) {
        if (round === this.round) continue;
        entries.delete(key);
        this.free.add(slot);
      }
    }
  }

  /** undefined for who is in no table yet. */
  slotOf({ family, key }: Pick<Peer, 'family' | 'key'>): number | undefined {
    return this.entries[family].get(key)?.slot;
  }

  /** Counts this too from now on. Returns what ends it: the numbers until then stay in the totals. */
  alsoCount(past: PastWorkers): () => void {
    this.pastWorkers.add(past);
    return () => {
      if (!this.pastWorkers.delete(past)) return;
      for (const entries of Object.values(this.entries))
        for (const entry of entries.values()) entry.past = sumOf(entry.past, past(entry.slot));
    };
  }

  totalsOf({ family, key }: Pick<Peer, 'family' | 'key'>): PeerTotals {
    const entry = this.entries[family].get(key);
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
