/** Compares this node's clock with the one by which leases end. */
import type { Registry } from '../cluster/registry.ts';
import type { Clock, Timer } from '../shared/clock.ts';

const PERIOD_MS = 60_000;

export class ClockWatch {
  /** how far the other one is ahead of ours, less than 0 when it is behind; undefined: not known */
  aheadMs: number | undefined;
  private readonly registry: Pick<Registry, 'readClock'>;
  private readonly clock: Clock;
  private timer: Timer | undefined;

  constructor(registry: Pick<Registry, 'readClock'>, clock: Clock) {
    this.registry = registry;
    this.clock = clock;
  }

  start(): void {
    this.timer = this.clock.every(PERIOD_MS, () => void this.look());
    void this.look();
  }

  stop(): void {
    this.timer?.stop();
  }

  /** A registry that does not answer is told elsewhere. */
  private async look(): Promise<void> {
    const reading = await this.registry.readClock?.().catch(() => undefined);
    this.aheadMs = typeof reading === 'object' ? reading.aheadMs : undefined;
  }
}
