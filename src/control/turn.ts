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
