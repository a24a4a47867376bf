/** Numbers that look random and follow from their seed (xorshift32): the same seed gives the same run. */
export class Random {
  private state: number;

  constructor(seed: number) {
    // Zero would stay zero; the multiplication keeps neighbouring seeds apart.
    this.state = Math.imul(seed, 0x9e3779b1) >>> 0 || 1;
  }

  /** From 0 up to below - 1. */
  below(below: number): number {
    this.state ^= this.state << 13;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    return (this.state >>> 0) % below;
  }

  /** True this often, from 0 to 1. Draws nothing for what never happens. */
  chance(probability: number): boolean {
    return probability > 0 && this.below(1_000_000) < probability * 1_000_000;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
}
