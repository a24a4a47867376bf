/** The node in one line, for `systemctl status`. */
import type { Totals } from '../../memory/counters.ts';
import type { Node } from '../node.ts';

export class StatusLine {
  private dropped = 0;
  private atMs = performance.now();

  /** Drops count from the last call on. */
  of(node: Node): string {
    const drops = this.dropsPerSecond(node.backend?.status().totals);
    const notReady = node.whyNotReady();
    if (notReady !== '') return node.waitsFor === '' ? notReady : `${notReady}: ${node.waitsFor}`;
    const { peers, reach, registry, store } = node;
    const silent = reach?.summary()?.silent.length ?? 0;
    const note = silent > 0 ? ` (${silent} unreachable)` : '';
    const count = `${peers.length} ${peers.length === 1 ? 'peer' : 'peers'}${note}`;
    const kind = registry.name.split(/[ :]/, 1)[0];
    const memory = registry.rememberedAtMs === undefined ? '' : ' (from memory)';
    return `${count}, ${kind} ${store.ok ? 'ok' : 'unavailable'}${memory}, ${drops} drops/s`;
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
