/** A worker's copy of this host's addresses (layout and contract: memory/local-addresses.ts). Never waits for the writer. */
import { LOCAL, LOCAL_ENTRIES_MAX, LOCAL_ENTRY_SHIFT } from '../memory/local-addresses.ts';
import { hashWords } from '../memory/table.ts';

export class LocalAddresses {
  private readonly shared: Int32Array;
  private words = new Int32Array(LOCAL_ENTRIES_MAX << LOCAL_ENTRY_SHIFT);
  private spare = new Int32Array(LOCAL_ENTRIES_MAX << LOCAL_ENTRY_SHIFT);
  private mask = 0;
  private sequence = -1;

  constructor(memory: SharedArrayBuffer) {
    this.shared = new Int32Array(memory);
    // A worker without a copy would let everything pass. The writer is done in microseconds.
    while (this.sequence < 0) this.refresh();
  }

  /** Takes what is new; while it is being written, the old copy stays in use. Call between batches only. */
  refresh(): void {
    const { shared, spare } = this;
    const sequence = Atomics.load(shared, LOCAL.sequence);
    if (sequence === this.sequence || (sequence & 1) !== 0) return;
    const mask = Atomics.load(shared, LOCAL.mask);
    const words = (mask + 1) << LOCAL_ENTRY_SHIFT;
    for (let i = 0; i < words; i++) spare[i] = Atomics.load(shared, LOCAL.entries + i);
    if (Atomics.load(shared, LOCAL.sequence) !== sequence) return;
    this.spare = this.words;
    this.words = spare;
    this.mask = mask;
    this.sequence = sequence;
  }

  /** Whether this host has the address (four words). */
  has(a: number, b: number, c: number, d: number): boolean {
    const { words, mask } = this;
    for (let slot = hashWords(0, a, b, c, d) & mask; ; slot = (slot + 1) & mask) {
      const at = slot << LOCAL_ENTRY_SHIFT;
      const w0 = words[at] as number;
      const w1 = words[at + 1] as number;
      const w2 = words[at + 2] as number;
      const w3 = words[at + 3] as number;
      if (w3 === d && w2 === c && w1 === b && w0 === a) return true;
      if ((w0 | w1 | w2 | w3) === 0) return false;
    }
  }
}
