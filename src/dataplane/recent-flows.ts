/** Flows that were noted a moment ago, by their hash. Two flows of one place push each other out: then one of them counts as not noted. */
const PLACES = 1_024;

export class RecentFlows {
  private readonly hashes = new Int32Array(PLACES);
  private readonly notedMs = new Int32Array(PLACES);
  private readonly keptMs: number;

  constructor(keptMs: number) {
    this.keptMs = keptMs;
  }

  /** `nowMs` is of a clock that wraps at 32 bits. */
  note(hash: number, nowMs: number): void {
    const place = hash & (PLACES - 1);
    this.hashes[place] = hash;
    this.notedMs[place] = nowMs;
  }

  has(hash: number, nowMs: number): boolean {
    const place = hash & (PLACES - 1);
    const ageMs = (nowMs - (this.notedMs[place] as number)) | 0;
    return this.hashes[place] === hash && ageMs >= 0 && ageMs < this.keptMs;
  }
}
