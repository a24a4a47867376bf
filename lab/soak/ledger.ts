/** Every numbered packet that was sent, until it came or is known to be lost. Pure: fed by talkers' reports, judged by windows. */
import type { MachineLoad } from './machine-load.ts';
import { BUCKET_MS, REPORT_MS, type TalkerReport, type Way, wayText } from './talk.ts';
import { fromMs, touches, untilMs, type Window } from './window.ts';

export interface Loss extends Way {
  /** when they were sent, to BUCKET_MS */
  atMs: number;
  packets: number;
}

/** No packet came for longer than this: told, and outside of windows a violation. */
const SILENCE_MS = 1_000;
/**
 * After this a packet that did not come is lost: longer than any daemon is frozen or any queue holds. Counted in the talkers' reports, because
 * a clock goes on while the whole machine stands still, and what is under way then has had no time to come.
 */
const SETTLED_REPORTS = 20_000 / REPORT_MS;
/** Two faults of one step begin nearer to each other. */
const SAME_STEP_MS = 1_000;
/** A fault that is further back has nothing to do with it. */
const NEAR_MS = 60_000;

/** What a fault did to traffic. */
export interface Felt {
  lost: number;
  /** longest silence on one way, the time of the cause included */
  silentMs: number;
  /** the last loss or silence after the cause was gone */
  beyondMs: number;
}

interface Bucket extends Way {
  bucket: number;
  sent: number;
  got: number;
}

export class Ledger {
  sent = 0;
  got = 0;
  /** all losses, inside and outside of windows */
  lost = 0;
  /** longest silence that no fault explains */
  calmSilenceMs = 0;
  readonly felt = new Map<Window, Felt>();
  private readonly windows: Window[] = [];
  /** times of the last reports, by pod */
  private readonly heard = new Map<number, number[]>();
  private readonly buckets = new Map<string, Bucket>();
  private readonly load: MachineLoad;
  private readonly problems: string[] = [];
  private readonly unexplained: Loss[] = [];
  private silences: (Way & { fromMs: number; untilMs: number })[] = [];

  constructor(load: MachineLoad) {
    this.load = load;
  }

  /** Its `overMs` may be set later. */
  open(window: Window): void {
    this.windows.push(window);
    this.felt.set(window, { lost: 0, silentMs: 0, beyondMs: 0 });
  }

  add(report: TalkerReport): void {
    const { pod, atMs, lateMs } = report;
    this.load.noteLateness(atMs, lateMs);
    this.heard.set(pod, [...(this.heard.get(pod) ?? []), atMs].slice(-SETTLED_REPORTS));
    for (const [to, family, bucket, packets] of report.sent) {
      this.sent += packets;
      this.bucketOf({ from: pod, to, family }, bucket).sent += packets;
    }
    for (const [from, family, bucket, packets] of report.got) {
      this.got += packets;
      this.bucketOf({ from, to: pod, family }, bucket).got += packets;
    }
    for (const [from, family, silentFrom, silentUntil] of report.gaps)
      this.silences.push({ from, to: pod, family, fromMs: silentFrom, untilMs: silentUntil });
    if (report.corrupt > 0)
      this.problems.push(`p${pod + 1} got ${report.corrupt} damaged datagrams`);
    if (report.repeated > 0)
      this.problems.push(`p${pod + 1} got ${report.repeated} datagrams twice`);
    if (report.refused > 0)
      this.problems.push(`p${pod + 1} could not send ${report.refused} datagrams`);
  }

  /** True when a fault may have cut off this way at some time from here to there. */
  explains(way: Pick<Way, 'from' | 'to'>, beganMs: number, endedMs: number): boolean {
    return this.windows.some(
      (window) =>
        touches(window, way) &&
        endedMs > fromMs(window, this.load) &&
        beganMs <= untilMs(window, this.load, beganMs),
    );
  }

  /** Of what was sent before this time all that comes has come. */
  private get settledMs(): number {
    const first = [...this.heard.values()].map((times) =>
      times.length < SETTLED_REPORTS ? Number.NEGATIVE_INFINITY : (times[0] as number),
    );
    return Math.min(...first);
  }

  /** Judges what was sent before this time and forgets it. Returns violations. */
  settle(beforeMs = this.settledMs): string[] {
    for (const [key, bucket] of this.buckets) {
      const atMs = bucket.bucket * BUCKET_MS;
      if (atMs + BUCKET_MS > beforeMs) continue;
      this.buckets.delete(key);
      if (bucket.got < bucket.sent)
        this.judgeLoss({ ...bucket, atMs, packets: bucket.sent - bucket.got });
    }
    const settled = this.silences.filter((silence) => silence.untilMs <= beforeMs);
    this.silences = this.silences.filter((silence) => silence.untilMs > beforeMs);
    for (const silence of settled) this.judgeSilence(silence);
    this.tellUnexplained();
    return this.problems.splice(0);
  }

  private judgeLoss(loss: Loss): void {
    this.lost += loss.packets;
    const endMs = loss.atMs + BUCKET_MS;
    const reasons = this.windows.filter(
      (window) =>
        window.loses &&
        touches(window, loss) &&
        endMs > fromMs(window, this.load) &&
        loss.atMs <= untilMs(window, this.load, loss.atMs),
    );
    for (const window of newest(reasons)) {
      const felt = this.felt.get(window) as Felt;
      felt.lost += loss.packets;
      felt.beyondMs = Math.max(felt.beyondMs, endMs - (window.overMs ?? endMs));
    }
    if (reasons.length === 0) this.unexplained.push(loss);
  }

  /** One text for each way. */
  private tellUnexplained(): void {
    const byWay = new Map<string, Loss[]>();
    for (const loss of this.unexplained.splice(0))
      byWay.set(wayText(loss), [...(byWay.get(wayText(loss)) ?? []), loss]);
    for (const [way, losses] of byWay) {
      const packets = losses.reduce((sum, loss) => sum + loss.packets, 0);
      const times = losses.map(({ atMs }) => atMs);
      const [firstMs, lastMs] = [Math.min(...times), Math.max(...times) + BUCKET_MS];
      this.problems.push(
        `${packets} packets lost in ${lastMs - firstMs} ms, ${way}, ${this.whenText(firstMs, losses[0] as Loss)}`,
      );
    }
  }

  private judgeSilence(silence: Way & { fromMs: number; untilMs: number }): void {
    const lengthMs = silence.untilMs - silence.fromMs;
    const reasons = this.windows.filter(
      (window) =>
        touches(window, silence) &&
        silence.untilMs > fromMs(window, this.load) &&
        silence.fromMs <= untilMs(window, this.load, silence.fromMs),
    );
    for (const window of newest(reasons)) {
      const felt = this.felt.get(window) as Felt;
      felt.silentMs = Math.max(felt.silentMs, lengthMs);
      felt.beyondMs = Math.max(felt.beyondMs, silence.untilMs - (window.overMs ?? silence.untilMs));
    }
    const { untilMs: endMs } = silence;
    if (reasons.some((window) => endMs <= untilMs(window, this.load, endMs))) return;
    this.calmSilenceMs = Math.max(this.calmSilenceMs, lengthMs);
    const most =
      SILENCE_MS * this.load.stretch(silence.fromMs, endMs) +
      this.load.lateMs(silence.fromMs, endMs);
    if (lengthMs > most)
      this.problems.push(
        `nothing came for ${lengthMs} ms, ${wayText(silence)}, ${this.whenText(silence.untilMs, silence)}`,
      );
  }

  /** The nearest fault before, in words: one that touches them where there is one. */
  private whenText(atMs: number, way: Way): string {
    const before = this.windows.filter(
      ({ beganMs }) => beganMs <= atMs && beganMs > atMs - NEAR_MS,
    );
    const touching = before.findLast((window) => touches(window, way));
    const window = touching ?? before.at(-1);
    if (!window) return 'with no fault in the minute before';
    const { fault, target, overMs, boundMs, beganMs, loses } = window;
    const who = touching
      ? loses
        ? ''
        : ', which must lose nothing'
      : ', which does not touch them';
    const since =
      overMs === undefined || atMs < overMs
        ? `${Math.round(atMs - beganMs)} ms after the begin`
        : `${Math.round(atMs - overMs)} ms after the cause (bound ${boundMs} ms times ${this.load.stretch(beganMs, atMs).toFixed(1)})`;
    return `${since} of "${fault}" on ${target < 0 ? 'the store' : `n${target + 1}`}${who}`;
  }

  private bucketOf(way: Way, bucket: number): Bucket {
    const key = `${way.from} ${way.to} ${way.family} ${bucket}`;
    let known = this.buckets.get(key);
    if (!known) {
      known = { ...way, bucket, sent: 0, got: 0 };
      this.buckets.set(key, known);
    }
    return known;
  }
}

/** What is felt is put down to the last fault that explains it, or the two of one step. */
function newest(windows: readonly Window[]): Window[] {
  const lastMs = Math.max(...windows.map(({ beganMs }) => beganMs));
  return windows.filter(({ beganMs }) => beganMs > lastMs - SAME_STEP_MS);
}
