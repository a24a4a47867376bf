/** Flows that were noted a moment ago, by their hash. Of two flows of one place one counts as not noted. */
const PLACES = 1_024;

export class RecentFlows {
  private readonly hashes = new Int32Array(PLACES);
  private readonly notedMs = new Int32Array(PLACES);
  private readonly keptMs: number;

  constructor(keptMs: number) {
    this.keptMs = keptMs;
  }

  /** Pushes another flow out that has this one's place. `nowMs` is of a clock that wraps at 32 bits. */
  note(hash: number, nowMs: number): void {
    const place = hash & (PLACES - 1);
    this.hashes[place] = hash;
    this.notedMs[place] = nowMs;
  }

  /** Leaves the place to another flow that has it. */
  noteIfFree(hash: number, nowMs: number): void {
    const place = hash & (PLACES - 1);
    if (this.isKept(place, nowMs) && this.hashes[place] !== hash) return;
    this.note(hash, nowMs);
  }

  has(hash: number, nowMs: number): boolean {
    const place = hash & (PLACES - 1);
    return this.hashes[place] === hash && this.isKept(place, nowMs);
  }

  private isKept(place: number, nowMs: number): boolean {
    const ageMs = (nowMs - (this.notedMs[place] as number)) | 0;
    return ageMs >= 0 && ageMs < this.keptMs;
  }
}
