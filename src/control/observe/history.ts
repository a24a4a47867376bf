/** The last two minutes of traffic as rates, one sample a second: what /history tells, and what the health warnings look at. */
import type { HistoryPage, Sample } from '../../api/history.ts';
import type { Rates as RecentRates } from '../../api/status.ts';
import type { Totals } from '../../memory/counters.ts';

const INTERVAL_MS = 1_000;
const SAMPLES_MAX = 120;
/** The status page tells the mean of this many samples. */
const RECENT = 5;

type Rates = Omit<Sample, 'at'>;

export class History {
  private readonly kept: Sample[] = [];
  /** by the monotonic clock */
  private last: { atMs: number; totals: Rates } | undefined;

  /** Takes the totals of a moment: `nowMs` is for people, `monotonicMs` by a clock that nobody sets. Where there is no data plane yet nothing is kept. */
  add(totals: Totals | undefined, nowMs: number, monotonicMs: number): void {
    if (!totals) return;
    const { last } = this;
    const now = { atMs: monotonicMs, totals: amountsOf(totals) };
    // While workers are made anew their counters are away for a moment: the next sample spans the gap.
    if (last && ranBackwards(last.totals, now.totals)) return;
    this.last = now;
    if (!last || monotonicMs <= last.atMs) return;
    const perSecond = (name: keyof Rates): number =>
      round(((now.totals[name] - last.totals[name]) * 1000) / (monotonicMs - last.atMs));
    this.kept.push({ at: new Date(nowMs).toISOString(), ...mapRates(perSecond) });
    if (this.kept.length > SAMPLES_MAX) this.kept.shift();
  }

  /** The page /history; newest last. */
  page(): HistoryPage {
    return { intervalMs: INTERVAL_MS, samples: this.kept };
  }

  /** Means of the last seconds; all 0 while there is nothing to tell. */
  recent(): RecentRates {
    const newest = this.kept.slice(-RECENT);
    const mean = (name: keyof Rates): number =>
      round(newest.reduce((sum, sample) => sum + sample[name], 0) / Math.max(1, newest.length));
    return {
      seconds: (newest.length * INTERVAL_MS) / 1000,
      sentPacketsPerSecond: mean('sentPackets'),
      sentBytesPerSecond: mean('sentBytes'),
      receivedPacketsPerSecond: mean('receivedPackets'),
      receivedBytesPerSecond: mean('receivedBytes'),
      droppedPacketsPerSecond: mean('droppedPackets'),
    };
  }
}

/** Calls back every second until the result is called; never keeps the process alive. */
export function everySecond(look: () => void): () => void {
  const timer = setInterval(look, INTERVAL_MS).unref();
  return () => clearInterval(timer);
}

function mapRates(rate: (name: keyof Rates) => number): Rates {
  return {
    sentPackets: rate('sentPackets'),
    sentBytes: rate('sentBytes'),
    receivedPackets: rate('receivedPackets'),
    receivedBytes: rate('receivedBytes'),
    droppedPackets: rate('droppedPackets'),
  };
}

function amountsOf({ counters, drops }: Totals): Rates {
  const sum = (reasons: Record<string, number>): number =>
    Object.values(reasons).reduce((total, count) => total + count, 0);
  return {
    sentPackets: counters.sentPackets,
    sentBytes: counters.sentBytes,
    receivedPackets: counters.deliveredPackets,
    receivedBytes: counters.deliveredBytes,
    droppedPackets: sum(drops.outbound) + sum(drops.inbound),
  };
}

function ranBackwards(before: Rates, now: Rates): boolean {
  return (Object.keys(before) as (keyof Rates)[]).some((name) => now[name] < before[name]);
}

function round(rate: number): number {
  return Math.round(rate * 10) / 10;
}
