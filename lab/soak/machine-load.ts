/**
 * What this machine does to everybody on it, measured: how late timers are, and how many times longer work takes than the CPU time
 * it needs. Bounds hold for a free CPU; they are moved by this and by nothing else.
 */
import { createHash } from 'node:crypto';
import { monotonicMs } from './monotonic.ts';

/** How far apart a measurement may be from what it explains. */
const NEAR_MS = 2_000;
/** Older ones are forgotten. */
const KEPT_MS = 600_000;
const TICK_MS = 50;
const PROBE_EVERY_MS = 1_000;
/** A bound that is moved further says nothing any more. */
const STRETCH_MAX = 20;
/** CPU time of one probe: longer than a time slice, and 2 % of a core. */
const PROBE_MS = 20;

export class MachineLoad {
  worstLateMs = 0;
  worstStretch = 1;
  private readonly late: { atMs: number; value: number }[] = [];
  private readonly stretches: { atMs: number; value: number }[] = [];

  noteLateness(atMs: number, lateMs: number): void {
    if (lateMs <= 0) return;
    this.worstLateMs = Math.max(this.worstLateMs, lateMs);
    note(this.late, atMs, lateMs);
  }

  /** Time that work took by the time of CPU it needed. */
  noteStretch(atMs: number, stretch: number): void {
    note(this.stretches, atMs, stretch);
  }

  /** The worst lateness of a timer about this time. */
  lateMs(fromMs: number, untilMs: number): number {
    return Math.max(0, ...between(this.late, fromMs, untilMs));
  }

  /** How many times longer work took, in the median of this time: from 1 to 20. */
  stretch(fromMs: number, untilMs: number): number {
    const values = between(this.stretches, fromMs, untilMs).sort((a, b) => a - b);
    const stretch = Math.min(STRETCH_MAX, Math.max(1, values[values.length >> 1] ?? 1));
    this.worstStretch = Math.max(this.worstStretch, stretch);
    return stretch;
  }

  /** Measures until the timers are cleared. */
  measure(): NodeJS.Timeout[] {
    let dueMs = monotonicMs() + TICK_MS;
    const tick = setInterval(() => {
      const now = monotonicMs();
      this.noteLateness(now, now - dueMs);
      dueMs = monotonicMs() + TICK_MS;
    }, TICK_MS);
    const probe = setInterval(() => {
      this.noteStretch(monotonicMs(), probeStretch());
      dueMs = monotonicMs() + TICK_MS; // the probe itself is nobody's fault
    }, PROBE_EVERY_MS);
    return [tick, probe];
  }
}

type Measured = { atMs: number; value: number }[];

function note(list: Measured, atMs: number, value: number): void {
  list.push({ atMs, value });
  while ((list[0]?.atMs ?? atMs) < atMs - KEPT_MS) list.shift();
}

function between(list: Measured, fromMs: number, untilMs: number): number[] {
  return list
    .filter(({ atMs }) => atMs >= fromMs - NEAR_MS && atMs <= untilMs + NEAR_MS)
    .map(({ value }) => value);
}

const WORK = Buffer.alloc(64 << 10);

function probeStretch(): number {
  const [began, before] = [monotonicMs(), process.cpuUsage()];
  for (;;) {
    createHash('sha256').update(WORK).digest();
    const { user, system } = process.cpuUsage(before);
    const cpuMs = (user + system) / 1_000;
    if (cpuMs >= PROBE_MS) return (monotonicMs() - began) / cpuMs;
  }
}
