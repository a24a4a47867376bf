/** Bounds what is said again and again, whoever says it: a fault that recurs every moment must not fill a disk. */
import { LRUCache } from 'lru-cache';
import { type Clock, systemClock, type Timer } from './clock.ts';

/** Different messages that are watched at a time; the one that was heard longest ago is forgotten first. */
const MESSAGES_MAX = 1_000;
/** How often {@link rarely} lets a message pass. */
const RARE_MS = 600_000;

export interface Bound {
  /** how often one message passes in a window that begins with it */
  burst: number;
  windowMs: number;
}

interface Watched {
  passed: number;
  held: number;
  timer: Timer;
  sayHeld: ((held: number) => void) | undefined;
}

export class RepeatLimiter {
  private readonly watched = new LRUCache<string, Watched>({
    max: MESSAGES_MAX,
    dispose: (entry) => forget(entry),
  });
  private readonly bound: Bound;
  private readonly clock: Clock;

  constructor(bound: Bound, clock: Clock = systemClock) {
    this.bound = bound;
    this.clock = clock;
  }

  /**
   * Whether the message with this key may pass now. With `sayHeld`, what was held back is said at the end of the window, and a message
   * that goes on is held back in the next window too; without it each window begins anew.
   */
  passes(key: string, sayHeld?: (held: number) => void): boolean {
    const known = this.watched.get(key);
    if (known) {
      if (known.passed < this.bound.burst) known.passed++;
      else known.held++;
      return known.held === 0;
    }
    const timer = this.clock.every(this.bound.windowMs, () => this.endWindow(key));
    this.watched.set(key, { passed: 1, held: 0, timer, sayHeld });
    return true;
  }

  private endWindow(key: string): void {
    const known = this.watched.get(key);
    if (!known?.sayHeld || known.held === 0) return void this.watched.delete(key);
    const { held } = known;
    known.held = 0;
    known.passed = this.bound.burst;
    known.sayHeld(held);
  }
}

/** What was held back is said even when the message makes room for others. */
function forget({ timer, held, sayHeld }: Watched): void {
  timer.stop();
  if (held > 0) sayHeld?.(held);
}

/** Says something: a message, with fields in front of it where there are any. */
interface Say {
  (fields: object, message: string): void;
  (message: string): void;
}

const LEVELS = ['info', 'warn', 'error'] as const;
/** What those need of a log who do not care which one it is. */
export type PlainLog = Readonly<Record<(typeof LEVELS)[number], Say>>;

/** For those who look and say nothing. */
export const silent: PlainLog = { info: ignore, warn: ignore, error: ignore };

function ignore(): void {
  // nobody reads it
}

/** The same log for what is found again and again: a message with the same fields passes once in ten minutes. */
export function rarely(log: PlainLog, clock: Clock = systemClock): PlainLog {
  const limiter = new RepeatLimiter({ burst: 1, windowMs: RARE_MS }, clock);
  const sayAt = (level: (typeof LEVELS)[number]): Say => {
    return (first: object | string, message?: string): void => {
      if (!limiter.passes(JSON.stringify([level, first, message]))) return;
      if (message === undefined) log[level](first as string);
      else log[level](first as object, message);
    };
  };
  return { info: sayAt('info'), warn: sayAt('warn'), error: sayAt('error') };
}
