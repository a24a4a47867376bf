/** What the service manager (systemd) is told: ready, reloading, stopping, one line of status. Without one nothing is sent. */
import type { Addon } from '../../memory/addon.ts';
import { messageOf } from '../../shared/errors.ts';
import { printable } from '../../shared/printable.ts';
import type { Log } from '../log/log.ts';

const STATUS_CHARACTERS_MAX = 200;

export class Notifier {
  private readonly addon: Pick<Addon, 'notify'>;
  private readonly log: Log;
  private status = '';
  /** the last message did not reach it */
  private isDeaf = false;

  constructor(addon: Pick<Addon, 'notify'>, log: Log) {
    this.addon = addon;
    this.log = log;
  }

  ready(): void {
    this.send('READY=1');
  }

  /** Say {@link ready} when the reload is over, whatever came of it. */
  reloading(): void {
    const nowUs = process.hrtime.bigint() / 1000n; // CLOCK_MONOTONIC
    this.send(`RELOADING=1\nMONOTONIC_USEC=${nowUs}`);
  }

  stopping(): void {
    this.send('STOPPING=1');
  }

  /** The start may take this much longer, counted from now. */
  extendStart(ms: number): void {
    this.send(`EXTEND_TIMEOUT_USEC=${ms * 1000}`);
  }

  alive(): void {
    this.send('WATCHDOG=1');
  }

  /** Sent when it differs from the last one; ask at most once a second. */
  say(text: string): void {
    const line = printable(text, STATUS_CHARACTERS_MAX);
    if (line === this.status) return;
    this.status = line;
    this.send(`STATUS=${line}`);
  }

  /** A service manager that does not listen is no reason to stop forwarding; it is said once. */
  private send(state: string): void {
    try {
      this.addon.notify(state);
      this.isDeaf = false;
    } catch (error) {
      if (!this.isDeaf)
        this.log.warn(`service manager not told ${state.split('=', 1)}: ${messageOf(error)}`);
      this.isDeaf = true;
    }
  }
}
