/**
 * Waiting while the daemon starts: for a store that does not answer yet, for a config that
 * somebody must write or repair first, for the underlay's address.
 */
import type { Clock } from '../shared/clock.ts';
import { messageOf, WeftError } from '../shared/errors.ts';
import { type PlainLog, rarely } from '../shared/repeats.ts';

const RETRY_MS = 1_000;
/** How long one try may take: the service manager must not lose patience before us. */
const TRY_MS = 30_000;
/** Others are working on it. */
const CURABLE = ['ERR_CONFIG', 'ERR_STORE_UNAVAILABLE', 'ERR_STORE_REFUSED', 'ERR_NO_ADDRESS'];

export class Patience {
  /** what went wrong at the last try, '' if nothing */
  waitsFor = '';
  private readonly rare: PlainLog;
  private readonly clock: Clock;
  private readonly signal: AbortSignal;
  private readonly extendStart: (ms: number) => void;

  /** `extendStart` hears before each try how long it may take. Waiting ends, with an error, when `signal` aborts. */
  constructor(log: PlainLog, clock: Clock, signal: AbortSignal, extendStart: (ms: number) => void) {
    this.rare = rarely(log, clock);
    this.clock = clock;
    this.signal = signal;
    this.extendStart = extendStart;
  }

  /** The first result of `work`, tried every second while the error is one that passes. */
  async until<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      this.extendStart(TRY_MS);
      try {
        const result = await work();
        this.waitsFor = '';
        return result;
      } catch (error) {
        if (!(error instanceof WeftError && CURABLE.includes(error.code))) throw error;
        this.waitsFor = messageOf(error);
        this.rare.error(`${this.waitsFor}; trying again every second`);
      }
      await this.clock.sleep(RETRY_MS, this.signal);
    }
  }
}
