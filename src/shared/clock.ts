/** Time as the control plane takes it: the machine's, or in tests one that is moved by hand. */
import { setTimeout as sleep } from 'node:timers/promises';

export interface Timer {
  /** It runs no more; a second call does nothing. */
  stop(): void;
}

/** Timers do not keep the process alive. */
export interface Clock {
  /** ms since the epoch; may be set to anything at any moment */
  nowMs(): number;
  /** ms since some moment; only for differences, which nobody's setting of the time changes */
  monotonicMs(): number;
  after(waitMs: number, run: () => void): Timer;
  every(periodMs: number, run: () => void): Timer;
  /** Rejects when `signal` aborts. */
  sleep(waitMs: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(waitMs, run) {
    const timer = setTimeout(run, waitMs).unref();
    return { stop: () => clearTimeout(timer) };
  },
  every(periodMs, run) {
    const timer = setInterval(run, periodMs).unref();
    return { stop: () => clearInterval(timer) };
  },
  sleep: (waitMs, signal) => sleep(waitMs, undefined, signal && { signal }),
};
