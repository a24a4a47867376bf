/** What the service manager hears again and again: the status line, and that we live. */
import type { Daemon } from '../daemon.ts';
import type { Notifier } from './notify.ts';
import { StatusLine } from './status-line.ts';
import { Watchdog, watchdogMs } from './watchdog.ts';

const STATUS_MS = 1_000;

export class ManagerReport {
  private readonly daemon: Daemon;
  private readonly notifier: Notifier;
  private timer: NodeJS.Timeout | undefined;
  private watchdog: Watchdog | undefined;

  constructor(daemon: Daemon, notifier: Notifier) {
    this.daemon = daemon;
    this.notifier = notifier;
  }

  /** From the beginning of the start: what we wait for is seen as well. */
  start(): void {
    const { daemon, notifier } = this;
    const line = new StatusLine();
    this.timer = setInterval(() => notifier.say(line.of(daemon)), STATUS_MS).unref();
    const intervalMs = watchdogMs(process.env);
    if (intervalMs === undefined) return;
    const beats = (): number[] =>
      daemon.backend?.status().workers.map(({ heartbeat }) => heartbeat) ?? [];
    this.watchdog = new Watchdog(intervalMs, beats, () => notifier.alive());
  }

  stop(): void {
    clearInterval(this.timer);
    this.watchdog?.stop();
  }
}
