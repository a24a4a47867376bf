/**
 * Bounds all lines of the log together, however many different messages there are: repeats are held back by message, and whoever
 * makes messages differ would get past that.
 */
import { type Clock, systemClock, type Timer } from '../../shared/clock.ts';

/** A day at the average is some 200 MB; a start or a change of the whole cluster fits in the burst. */
const ALL = { burst: 200, perSecond: 10 };
/** Errors take from it when the rest is used up: no flood of warnings hides them. */
const RESERVE = { burst: 50, perSecond: 1 };
/** How often what was left out is said. */
const SAY_MS = 10_000;

const ERROR = 50;
const FATAL = 60;

/** Lines that were left out, by pino's number of the level. */
export type LeftOut = ReadonlyMap<number, number>;

export class LineBudget {
  private readonly all: Bucket;
  private readonly reserve: Bucket;
  private readonly say: (leftOut: LeftOut) => void;
  private readonly clock: Clock;
  private leftOut = new Map<number, number>();
  private timer: Timer | undefined;

  /** `say` is called at most every ten seconds. `elapsedMs` only grows, whatever the clock does. */
  constructor(
    say: (leftOut: LeftOut) => void,
    clock: Clock = systemClock,
    elapsedMs: () => number = () => performance.now(),
  ) {
    this.say = say;
    this.clock = clock;
    this.all = new Bucket(ALL, elapsedMs);
    this.reserve = new Bucket(RESERVE, elapsedMs);
  }

  /** Whether a line of this level is written. What ends the daemon always is. */
  passes(level: number): boolean {
    if (level >= FATAL || this.all.take() || (level >= ERROR && this.reserve.take())) return true;
    this.leftOut.set(level, (this.leftOut.get(level) ?? 0) + 1);
    this.timer ??= this.clock.after(SAY_MS, () => this.sayLeftOut());
    return false;
  }

  /** Says now what was left out and is not said yet. */
  sayLeftOut(): void {
    this.timer?.stop();
    this.timer = undefined;
    if (this.leftOut.size === 0) return;
    const said = this.leftOut;
    this.leftOut = new Map();
    this.say(said);
  }
}

class Bucket {
  private readonly size: number;
  private readonly perMs: number;
  private readonly elapsedMs: () => number;
  private tokens: number;
  private atMs: number;

  constructor({ burst, perSecond }: typeof ALL, elapsedMs: () => number) {
    this.size = burst;
    this.perMs = perSecond / 1000;
    this.elapsedMs = elapsedMs;
    this.tokens = burst;
    this.atMs = elapsedMs();
  }

  take(): boolean {
    const nowMs = this.elapsedMs();
    this.tokens = Math.min(this.size, this.tokens + (nowMs - this.atMs) * this.perMs);
    this.atMs = nowMs;
    if (this.tokens < 1) return false;
    this.tokens--;
    return true;
  }
}
