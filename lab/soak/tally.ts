/** Figures of faults, gathered by kind. */
import { faultNamed } from './all-faults.ts';
import type { Felt } from './ledger.ts';
import type { FaultFigures } from './result.ts';
import type { Window } from './window.ts';

export class Tally {
  private readonly wellAfterMs = new Map<string, number>();

  /** How long after its cause all was well again. */
  heal(name: string, afterMs: number): void {
    this.wellAfterMs.set(name, Math.max(afterMs, this.wellAfterMs.get(name) ?? 0));
  }

  figures(all: ReadonlyMap<Window, Felt>): FaultFigures[] {
    const byName = new Map<string, FaultFigures>();
    for (const [{ fault }, felt] of all) {
      const figures = byName.get(fault) ?? this.none(fault);
      byName.set(fault, {
        ...figures,
        times: figures.times + 1,
        lostPackets: figures.lostPackets + felt.lost,
        silentMs: Math.max(figures.silentMs, Math.round(felt.silentMs)),
        beyondMs: Math.max(figures.beyondMs, Math.round(felt.beyondMs)),
      });
    }
    return [...byName.values()].sort((a, b) => a.name.localeCompare(b.name));
  }

  private none(name: string): FaultFigures {
    const { boundMs, healMs } = faultNamed(name);
    return {
      name,
      times: 0,
      lostPackets: 0,
      silentMs: 0,
      beyondMs: 0,
      boundMs,
      wellAfterMs: this.wellAfterMs.get(name) ?? 0,
      healMs,
    };
  }
}
