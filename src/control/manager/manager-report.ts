/** What the service manager or keeper hears again and again: the status line, that we live, and descriptors that it lost. */
import type { Node } from '../node.ts';
import type { FdStore } from './fd-store.ts';
import type { Notifier } from './notify.ts';
import { StatusLine } from './status-line.ts';
import { Watchdog, watchdogMs } from './watchdog.ts';

const STATUS_MS = 1_000;

export class ManagerReport {
  private readonly node: Node;
  private readonly notifier: Notifier;
  private readonly fds: FdStore;
  private timer: NodeJS.Timeout | undefined;
  private watchdog: Watchdog | undefined;

  constructor(node: Node, notifier: Notifier, fds: FdStore) {
    this.node = node;
    this.notifier = notifier;
    this.fds = fds;
  }

  /** From the beginning of the start: what we wait for is seen as well. */
  start(): void {
    const { node, notifier, fds } = this;
    const line = new StatusLine();
    const report = (): void => {
      notifier.say(line.of(node));
      fds.keepAgain();
    };
    this.timer = setInterval(report, STATUS_MS).unref();
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
