/** What the service manager hears again and again: the status line, and that we live. */
import type { Node } from '../node.ts';
import type { Notifier } from './notify.ts';
import { StatusLine } from './status-line.ts';
import { Watchdog, watchdogMs } from './watchdog.ts';

const STATUS_MS = 1_000;

export class ManagerReport {
  private readonly node: Node;
  private readonly notifier: Notifier;
  private timer: NodeJS.Timeout | undefined;
  private watchdog: Watchdog | undefined;

  constructor(node: Node, notifier: Notifier) {
    this.node = node;
    this.notifier = notifier;
  }

  /** From the beginning of the start: what we wait for is seen as well. */
  start(): void {
    const { node, notifier } = this;
    const line = new StatusLine();
    this.timer = setInterval(() => notifier.say(line.of(node)), STATUS_MS).unref();
    const intervalMs = watchdogMs(process.env);
    if (intervalMs === undefined) return;
    const beats = (): number[] =>
      node.backend?.status().workers.map(({ heartbeat }) => heartbeat) ?? [];
    this.watchdog = new Watchdog(intervalMs, beats, () => notifier.alive());
  }

  stop(): void {
    clearInterval(this.timer);
    this.watchdog?.stop();
  }
}
