/** One thing at a time: calls to the backend, in the order in which they were asked for. */
import { messageOf } from '../shared/errors.ts';
import type { PlainLog } from '../shared/repeats.ts';

export class Turn {
  private readonly log: PlainLog;
  private readonly signal: AbortSignal;
  private last: Promise<void> = Promise.resolve();

  /** Work whose turn comes after `signal` aborted is left out. */
  constructor(log: PlainLog, signal: AbortSignal) {
    this.log = log;
    this.signal = signal;
  }

  /** Resolves when the work is done. What fails is logged and does not hold up the next. */
  take(work: () => Promise<void>): Promise<void> {
    this.last = this.last
      .then(() => (this.signal.aborted ? undefined : work()))
      .catch((error) => this.log.error(messageOf(error)));
    return this.last;
  }

  /** Resolves when everything that was asked for until now is done. */
  get settled(): Promise<void> {
    return this.last;
  }
}

/** Work on values of which only the newest counts: they may come faster than they are worked off. */
export class NewestInTurn<T> {
  private readonly turn: Turn;
  private readonly work: (value: T) => Promise<void>;
  private waiting: { value: T } | undefined;

  constructor(turn: Turn, work: (value: T) => Promise<void>) {
    this.turn = turn;
    this.work = work;
  }

  offer(value: T): void {
    const isQueued = this.waiting !== undefined;
    this.waiting = { value };
    if (!isQueued) void this.turn.take(() => this.takeNewest());
  }

  /** An old value once more, unless a newer one waits already. */
  offerAgain(value: T): void {
    if (!this.waiting) this.offer(value);
  }

  private async takeNewest(): Promise<void> {
    const newest = this.waiting;
    this.waiting = undefined;
    if (newest) await this.work(newest.value);
  }
}
