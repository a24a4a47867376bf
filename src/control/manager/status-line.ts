/** The daemon in one line, for `systemctl status`. */
import type { Totals } from '../../memory/counters.ts';
import type { Daemon } from '../daemon.ts';

export class StatusLine {
  private dropped = 0;
  private atMs = performance.now();

  /** Drops count from the last call on. */
  of(daemon: Daemon): string {
    const drops = this.dropsPerSecond(daemon.backend?.status().totals);
    const notReady = daemon.whyNotReady();
    if (notReady !== '')
      return daemon.waitsFor === '' ? notReady : `${notReady}: ${daemon.waitsFor}`;
    const { peers, store, storeState } = daemon;
    const count = `${peers.length} ${peers.length === 1 ? 'peer' : 'peers'}`;
    const kind = store.name.split(/[ :]/, 1)[0];
    return `${count}, ${kind} ${storeState.ok ? 'ok' : 'away'}, ${drops} drops/s`;
  }

  private dropsPerSecond(totals: Totals | undefined): number {
    const { outbound = {}, inbound = {} } = totals?.drops ?? {};
    const counts = [...Object.values(outbound), ...Object.values(inbound)];
    const dropped = counts.reduce((sum, count) => sum + count, 0);
    const nowMs = performance.now();
    const rate = ((dropped - this.dropped) * 1000) / Math.max(1, nowMs - this.atMs);
    this.dropped = dropped;
    this.atMs = nowMs;
    return Math.round(Math.max(0, rate));
  }
}
