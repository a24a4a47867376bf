/** Peers → the route table in shared memory (contract and layout: memory/table.ts). */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Peer } from '../../cluster/peers.ts';
import { halfAt, TABLE_GENERATION } from '../../memory/table.ts';
import { sameWords } from '../../shared/address.ts';
import { TableHalf } from './table-half.ts';
import type { TableChange, TableSink } from './table-sink.ts';

/** How long a worker may lag before the next publication goes on without it: it is dead, and its successor reads anew. */
const SEEN_WAIT_MS = 2_000;

/** The table that the workers read, at first empty. One writer: who publishes waits for {@link settled} first. */
export class SharedTable implements TableSink {
  private readonly words: Int32Array;
  private readonly seen: () => readonly number[];
  private readonly halves: readonly [TableHalf, TableHalf];
  /** what the half that is not in use lacks: the newest publication went to the other */
  private lacking: readonly TableChange[] = [];

  /** `seen` gives the generations that live workers have reported. */
  constructor(memory: SharedArrayBuffer, seen: () => readonly number[]) {
    this.words = new Int32Array(memory);
    this.seen = seen;
    this.halves = [new TableHalf(this.words, halfAt(0)), new TableHalf(this.words, halfAt(1))];
  }

  async settled(): Promise<void> {
    const generation = Atomics.load(this.words, TABLE_GENERATION);
    const deadline = performance.now() + SEEN_WAIT_MS;
    while (this.seen().some((seen) => seen !== generation) && performance.now() < deadline)
      await sleep(5);
  }

  async publish(changes: readonly TableChange[]): Promise<number> {
    const generation = Atomics.load(this.words, TABLE_GENERATION) + 1;
    const half = this.halves[(generation & 1) as 0 | 1];
    for (const step of [this.lacking, changes]) change(half, step);
    this.lacking = changes;
    Atomics.store(this.words, TABLE_GENERATION, generation);
    return generation;
  }
}

/** What goes makes room for what comes: a subnet may have changed hands. */
function change(half: TableHalf, changes: readonly TableChange[]): void {
  const isAtHome = changes.map(({ before, after }) => staysAtHome(before, after));
  for (const [i, { before }] of changes.entries()) if (before && !isAtHome[i]) half.remove(before);
  half.reserve(half.count + changes.length);
  for (const [i, { after, slot }] of changes.entries()) {
    if (!after) continue;
    if (isAtHome[i]) half.rewrite(after, slot);
    else half.add(after, slot);
  }
}

/** A node with another MAC: most changes are this, and its places in the hashes stay. */
function staysAtHome(before: Peer | undefined, after: Peer | undefined): boolean {
  if (!before || !after) return false;
  const { subnet, address } = before;
  const isSameSubnet =
    subnet.bits === after.subnet.bits && sameWords(subnet.words, after.subnet.words);
  return isSameSubnet && sameWords(address, after.address);
}

/** Writes one half anew; peers without a slot of their own have that of their index. Exported for tests and benchmarks. */
export function fillHalf(words: Int32Array, at: number, peers: readonly Peer[]): void {
  const half = new TableHalf(words, at);
  half.reserve(peers.length);
  for (const [index, peer] of peers.entries()) half.add(peer, index);
}
