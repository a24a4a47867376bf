/** When a call ends whatever the server does: the caller wants no more of it, or it took too long. */
import type { Clock, Timer } from '../../shared/clock.ts';

export class CallEnd {
  private readonly controller = new AbortController();
  private readonly caller: AbortSignal | undefined;
  private readonly timer: Timer;
  private readonly onAbort = (): void => this.controller.abort(this.caller?.reason);
  private late = false;

  /** Release it, whatever happens: signals of callers live long. */
  constructor(clock: Clock, limitMs: number, caller: AbortSignal | undefined) {
    this.caller = caller;
    caller?.addEventListener('abort', this.onAbort);
    this.timer = clock.after(limitMs, () => {
      this.late = true;
      this.controller.abort();
    });
    if (caller?.aborted) this.onAbort();
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** It took too long. */
  get isLate(): boolean {
    return this.late;
  }

  /** From now on only the caller ends it. */
  lift(): void {
    this.timer.stop();
  }

  release(): void {
    this.timer.stop();
    this.caller?.removeEventListener('abort', this.onAbort);
  }
}
