/** Bounds what the log says again and again, whoever says it: a fault that recurs every moment must not fill a disk. */

/** What passes of one message in a minute; a flood passes once a minute, with its count. */
const BURST = 10;
const WINDOW_MS = 60_000;
/** Different messages that are watched at a time; more of them pass uncounted. */
const MESSAGES_MAX = 1_000;

interface Watched {
  passed: number;
  held: number;
  timer: NodeJS.Timeout;
}

export class RepeatLimiter {
  private readonly watched = new Map<string, Watched>();

  /**
   * Whether this message may pass now. Messages that differ in numbers only are one. What was held back is told at the end of the
   * minute by `tell`.
   */
  passes(level: number, text: string, tell: (held: number) => void): boolean {
    const key = `${level} ${text.replace(/\d+/g, '#')}`;
    const known = this.watched.get(key);
    if (known) {
      if (known.passed < BURST) known.passed++;
      else known.held++;
      return known.held === 0;
    }
    if (this.watched.size >= MESSAGES_MAX) return true;
    const timer = setInterval(() => this.endMinute(key, tell), WINDOW_MS).unref();
    this.watched.set(key, { passed: 1, held: 0, timer });
    return true;
  }

  /** Forgets a message that has become rare; goes on holding back one that has not. */
  private endMinute(key: string, tell: (held: number) => void): void {
    const known = this.watched.get(key);
    if (!known) return;
    if (known.held > 0) {
      const { held } = known;
      known.held = 0;
      known.passed = BURST;
      tell(held);
      return;
    }
    clearInterval(known.timer);
    this.watched.delete(key);
  }
}
