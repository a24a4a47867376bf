/** Work that follows news: at once after a quiet time, and in a stream of news at most every so often. */
import type { Clock, Timer } from './clock.ts';

export class Pace {
  private readonly clock: Clock;
  private readonly gapMs: number;
  private readonly work: () => void;
  private timer: Timer | undefined;
  private workedAtMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, gapMs: number, work: () => void) {
    this.clock = clock;
    this.gapMs = gapMs;
    this.work = work;
  }

  /** There is news; work that waits already takes it along. */
  hear(): void {
    if (this.timer) return;
    const restMs = this.workedAtMs + this.gapMs - this.clock.monotonicMs();
    if (restMs <= 0) this.run();
    else this.timer = this.clock.after(restMs, () => this.run());
  }

  /** There is news that can't wait. */
  hurry(): void {
    this.timer?.stop();
    this.run();
  }

  /** What waits is left undone. */
  stop(): void {
    this.timer?.stop();
    this.timer = undefined;
  }

  private run(): void {
    this.timer = undefined;
    this.workedAtMs = this.clock.monotonicMs();
    this.work();
  }
}
