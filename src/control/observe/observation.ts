/** What can be seen of the packets that the workers forward. Its memory outlives workers, sockets and devices. */
import { createObservationMemory, type ObservationMemory } from '../../memory/worker-task.ts';
import { Captures } from './capture.ts';
import { DropReader } from './drop-reader.ts';
import { Onlookers } from './onlookers.ts';
import { PeerLedger } from './peer-ledger.ts';

export class Observation {
  /** by worker */
  readonly memories: readonly ObservationMemory[];
  readonly ledger: PeerLedger;
  readonly drops: DropReader;
  readonly captures: Captures;
  readonly onlookers = new Onlookers();

  constructor(workers: number) {
    this.memories = Array.from({ length: workers }, createObservationMemory);
    this.ledger = new PeerLedger(this.memories.map((memory) => memory.peerCounters));
    this.drops = new DropReader(this.memories.map((memory) => memory.dropSamples));
    this.captures = new Captures(
      this.memories.map((memory) => memory.capture),
      this.onlookers,
    );
  }

  memoryOf(worker: number): ObservationMemory {
    const memory = this.memories[worker];
    if (!memory) throw new RangeError(`there is no worker ${worker}`);
    return memory;
  }
}
