/** Bounds how often something is done, by the worker's clock word. */
import { WORD } from '../memory/worker-task.ts';

export class TokenBucket {
  private readonly control: Int32Array;
  private readonly perSecond: number;
  private readonly burst: number;
  private tokens: number;
  private filledAtMs = 0;

  /** `burst` is at most `perSecond`. */
  constructor(control: Int32Array, perSecond: number, burst: number) {
    this.control = control;
    this.perSecond = perSecond;
    this.burst = burst;
    this.tokens = burst;
  }

  /** Takes one of what the rate allows; false when there is none. */
  take(): boolean {
    const now = this.control[WORD.clockMs] as number;
    const elapsedMs = (now - this.filledAtMs) | 0;
    if (elapsedMs !== 0) this.fill(now, elapsedMs);
    if (this.tokens === 0) return false;
    this.tokens--;
    return true;
  }

  private fill(now: number, elapsedMs: number): void {
    const isLong = elapsedMs < 0 || elapsedMs > 1000;
    const more = isLong ? this.burst : Math.floor((elapsedMs * this.perSecond) / 1000);
    if (more === 0) return;
    this.tokens = Math.min(this.burst, this.tokens + more);
    this.filledAtMs = now;
  }
}
