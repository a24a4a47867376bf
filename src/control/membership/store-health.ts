/** Whether the registry answers, since when, and why not. */
import type { Clock } from '../../shared/clock.ts';
import { messageOf } from '../../shared/errors.ts';
import { type PlainLog, RepeatLimiter } from '../../shared/repeats.ts';
import type { StoreState } from '../node.ts';

const NEVER = 'no answer yet';
/** A reason that comes and goes is said once in this time. */
const REASON_MS = 600_000;

export class StoreHealth {
  state: StoreState;
  private readonly log: PlainLog;
  private readonly clock: Clock;
  private readonly reasons: RepeatLimiter;
  private hasAnswered = false;

  constructor(log: PlainLog, clock: Clock) {
    this.log = log;
    this.clock = clock;
    this.reasons = new RepeatLimiter({ burst: 1, windowMs: REASON_MS }, clock);
    this.state = { ok: false, message: NEVER, since: this.now(), lastEventAt: undefined };
  }

  answered(): void {
    if (this.state.ok) return;
    if (this.hasAnswered) this.log.info('the store is back');
    this.hasAnswered = true;
    this.state = { ...this.state, ok: true, message: '', since: this.now() };
  }

  /** It told the leases. */
  listed(): void {
    this.answered();
    this.state = { ...this.state, lastEventAt: this.now() };
  }

  /** As {@link failed}, for those who say it themselves. */
  note(error: unknown): void {
    const since = this.state.ok ? this.now() : this.state.since;
    this.state = { ...this.state, ok: false, message: messageOf(error), since };
  }

  /** An outage is said, and each other reason that it has later. */
  failed(error: Error): void {
    const { ok, message } = this.state;
    const isRare = this.reasons.passes(reasonOf(error));
    if (ok || (error.message !== message && isRare))
      this.log.error(`${error.message}; forwarding goes on with what was known`);
    this.note(error);
  }

  private now(): Date {
    return new Date(this.clock.nowMs());
  }
}

/** Without numbers: how long a call took, and which of several endpoints it met, makes no other reason. */
function reasonOf({ message }: Error): string {
  return message.replace(/\d+/g, '#');
}
