/**
 * What was forwarded and dropped, whoever did it: workers, shortcuts, and those of either that have ended. Totals never run backwards,
 * and every packet is in them exactly once.
 */
import { addTotals, sumBlocks, type Totals } from '../../memory/counters.ts';
import type { PeerLedger } from '../observe/peer-ledger.ts';
import type { Shortcut } from './shortcut.ts';

export class Books {
  private readonly workers: number;
  private readonly ledger: PeerLedger;
  /** blocks of workers that earlier sets of ports had, worker by worker */
  private readonly pastBlocks: Float64Array[] = [];
  private pastShortcuts = sumBlocks([]);
  /** counter blocks of the workers that run now, by worker */
  private running: () => readonly Float64Array[] = () => [];
  /** with what ends each one's share in the ledger */
  private readonly shortcuts = new Map<Shortcut, () => void>();

  constructor(workers: number, ledger: PeerLedger) {
    this.workers = workers;
    this.ledger = ledger;
  }

  openWorkers(blocks: () => readonly Float64Array[]): void {
    this.running = blocks;
  }

  /** They count no more; what they counted stays. */
  closeWorkers(): void {
    this.pastBlocks.push(...this.running());
    this.running = () => [];
  }

  openShortcut(shortcut: Shortcut): void {
    const perPeer = shortcut.perPeer?.bind(shortcut);
    this.shortcuts.set(shortcut, perPeer ? this.ledger.alsoCount(perPeer) : () => undefined);
  }

  /** It carries nothing any more, and can still say what it carried. */
  closeShortcut(shortcut: Shortcut): void {
    this.shortcuts.get(shortcut)?.();
    if (!this.shortcuts.delete(shortcut)) return;
    const totals = shortcut.totals();
    if (totals) this.pastShortcuts = addTotals(this.pastShortcuts, totals);
  }

  totals(): Totals {
    return addTotals(sumBlocks(this.blocks()), this.pastWorkers());
  }

  /** What shortcuts carried past the workers, those that have ended too. */
  pastWorkers(): Totals {
    const open = [...this.shortcuts.keys()].flatMap((shortcut) => shortcut.totals() ?? []);
    return open.reduce(addTotals, this.pastShortcuts);
  }

  /** Of each worker; what went past them is in {@link totals} only. */
  workerTotals(): Totals[] {
    const blocks = this.blocks();
    return Array.from({ length: this.workers }, (_, worker) =>
      sumBlocks(blocks.filter((__, i) => i % this.workers === worker)),
    );
  }

  private blocks(): Float64Array[] {
    return [...this.pastBlocks, ...this.running()];
  }
}
