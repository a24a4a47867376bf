/** A clock that stands still until a test moves it. */
import type { Clock, Timer } from '../../src/shared/clock.ts';

interface Due {
  atMs: number;
  everyMs: number | undefined;
  run: () => void;
}

export class FakeClock implements Clock {
  private now: number;
  private readonly startMs: number;
  /** how far somebody set the calendar */
  private setByMs = 0;
  private readonly due = new Set<Due>();

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.now = this.startMs = startMs;
  }

  nowMs(): number {
    return this.now + this.setByMs;
  }

  monotonicMs(): number {
    // As the machine's: far from the calendar's numbers, so that who compares the two is found.
    return this.now - this.startMs;
  }

  /** Somebody sets the time; no timer cares. */
  setCalendar(byMs: number): void {
    this.setByMs += byMs;
  }

  after(waitMs: number, run: () => void): Timer {
    return this.add({ atMs: this.now + waitMs, everyMs: undefined, run });
  }

  every(periodMs: number, run: () => void): Timer {
    return this.add({ atMs: this.now + periodMs, everyMs: periodMs, run });
  }

  sleep(waitMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = this.after(waitMs, resolve);
      signal?.addEventListener('abort', () => {
        timer.stop();
        reject(signal.reason);
      });
    });
  }

  /** Runs what falls due on the way, in its order, and lets promises settle in between. */
  async move(byMs: number): Promise<void> {
    const endMs = this.now + byMs;
    for (let next = this.nextBy(endMs); next; next = this.nextBy(endMs)) {
      this.now = next.atMs;
      if (next.everyMs === undefined) this.due.delete(next);
      else next.atMs += next.everyMs;
      next.run();
      await settle();
    }
    this.now = endMs;
    await settle();
  }

  /** How many timers wait. */
  get waiting(): number {
    return this.due.size;
  }

  private add(entry: Due): Timer {
    this.due.add(entry);
    return { stop: () => void this.due.delete(entry) };
  }

  private nextBy(endMs: number): Due | undefined {
    return [...this.due].filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0];
  }
}

/** Lets everything run that only waits for promises. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
}
