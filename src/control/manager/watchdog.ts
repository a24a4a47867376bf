/**
 * The service manager's watchdog, fed only while every worker's heartbeat moves: a daemon whose control thread lives and whose
 * packets stand still is killed and started again. Before there are workers, that this timer runs is enough.
 */

/** Feedings per watchdog interval: one that comes late is not the end. */
const FEEDS = 3;

/** The interval that the service manager asks of this process, in ms; undefined if it asks none. */
export function watchdogMs(environment: NodeJS.ProcessEnv): number | undefined {
  const { WATCHDOG_USEC: us = '', WATCHDOG_PID: pid = `${process.pid}` } = environment;
  if (!/^[1-9]\d{0,14}$/.test(us) || pid !== `${process.pid}`) return undefined;
  return Number(us) / 1000;
}

export class Watchdog {
  private readonly feed: () => void;
  private readonly beats: () => readonly number[];
  private last: readonly number[] = [];
  private readonly timer: NodeJS.Timeout;

  /** `beats` are the heartbeats of all workers as they are now. */
  constructor(intervalMs: number, beats: () => readonly number[], feed: () => void) {
    this.beats = beats;
    this.feed = feed;
    this.timer = setInterval(() => this.check(), intervalMs / FEEDS).unref();
    this.feed();
  }

  /** Feeds unless a heartbeat stands where it stood at the last check. */
  check(): void {
    const beats = this.beats();
    const stands = beats.some((beat, worker) => beat === this.last[worker]);
    this.last = beats;
    if (!stands) this.feed();
  }

  stop(): void {
    clearInterval(this.timer);
  }
}
