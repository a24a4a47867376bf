/** When to look after news: at once, and more and more rarely while news go on. */
import type { Clock, Timer } from '../shared/clock.ts';

/** News come in bursts; the rest of this one is awaited. */
const BURST_MS = 5;
const GAP_MS_MIN = 20;
/** News that never end delay a look by no more. */
export const GAP_MS_MAX = 5_000;

export class Pacer {
  private readonly clock: Clock;
  private readonly look: () => Promise<void>;
  private timer: Timer | undefined;
  private isLooking = false;
  private heardMeanwhile = false;
  private gapMs = 0;
  private lookedAtMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, look: () => Promise<void>) {
    this.clock = clock;
    this.look = look;
  }

  /** There is news. A look follows; what is heard during a look is followed by another. */
  hear(): void {
    if (this.isLooking) this.heardMeanwhile = true;
    if (this.isLooking || this.timer) return;
    const quietMs = this.clock.monotonicMs() - this.lookedAtMs;
    if (quietMs > GAP_MS_MAX) this.gapMs = 0;
    const waitMs = Math.max(BURST_MS, this.gapMs - quietMs);
    this.timer = this.clock.after(waitMs, () => void this.take());
  }

  private async take(): Promise<void> {
    this.timer = undefined;
    this.isLooking = true;
    this.heardMeanwhile = false;
    this.gapMs = Math.min(GAP_MS_MAX, Math.max(GAP_MS_MIN, this.gapMs * 2));
    await this.look();
    this.lookedAtMs = this.clock.monotonicMs();
    this.isLooking = false;
    if (this.heardMeanwhile) this.hear();
  }

  stop(): void {
    this.timer?.stop();
    this.timer = undefined;
  }
}
