/** One life of a daemon, from start to end, as seen from outside: counters, books, memory, descriptors. Pure. */
import { type Descriptors, renderGrowth, total } from './descriptors.ts';

export interface Look {
  /** since the daemon's start, ms */
  ageMs: number;
  /** of the process */
  rssBytes: number;
  descriptors: Descriptors;
  /** by name; none may fall */
  counters: Readonly<Record<string, number>>;
}

/** Until then code is loaded and compiled, and tables grow. */
export const WARM_UP_MS = 60_000;
/** A trend needs this long to say anything. */
export const TREND_MS = 240_000;
/**
 * V8 lets a heap grow for some ten minutes, by 20 to 30 MiB, before it collects as often as it will in the end. A leak of 1 MiB a minute is
 * found after 26.
 */
export const HEAP_WARM_UP_MS = 600_000;
export const HEAP_TREND_MS = 900_000;
/** How much memory may grow by its trend after that, however long the life. */
export const RSS_GROWTH_BYTES = 16 << 20;
/** What the unit allows is more; with two families and a worker a daemon has about 85 MB. */
export const RSS_BYTES_MAX = 200 << 20;
export const DESCRIPTOR_GROWTH = 4;
export const DESCRIPTORS_MAX = 128;

export interface LifeFigures {
  looks: number;
  ageMs: number;
  rssMaxBytes: number;
  /** by its trend after the heap's warm-up; null: too short to say */
  rssGrowthBytes: number | null;
  descriptorsMax: number;
  descriptorGrowth: number | null;
}

/** Least squares. */
export class Trend {
  private n = 0;
  private sumX = 0;
  private sumY = 0;
  private sumXX = 0;
  private sumXY = 0;
  private first: number | undefined;
  private last = 0;

  add(x: number, y: number): void {
    this.first ??= x;
    this.last = x;
    const at = x - this.first;
    this.n++;
    this.sumX += at;
    this.sumY += y;
    this.sumXX += at * at;
    this.sumXY += at * y;
  }

  get span(): number {
    return this.last - (this.first ?? this.last);
  }

  /** How much y grew from the first x to the last, by the line through all. */
  get growth(): number {
    const under = this.n * this.sumXX - this.sumX ** 2;
    return under === 0 ? 0 : ((this.n * this.sumXY - this.sumX * this.sumY) / under) * this.span;
  }
}

export class Life {
  readonly name: string;
  private readonly rss = new Trend();
  private readonly descriptors = new Trend();
  private previous: Readonly<Record<string, number>> = {};
  private looks = 0;
  private ageMs = 0;
  private rssMax = 0;
  private descriptorsMax = 0;
  private warm: Descriptors | undefined;
  private latest: Descriptors = {};

  constructor(name: string) {
    this.name = name;
  }

  /** Returns violations. */
  add(look: Look): string[] {
    const fallen = Object.entries(this.previous)
      .filter(([name, value]) => (look.counters[name] ?? 0) < value)
      .map(([name, value]) => `${this.name}: ${name} fell from ${value} to ${look.counters[name]}`);
    this.previous = look.counters;
    this.looks++;
    this.ageMs = look.ageMs;
    this.rssMax = Math.max(this.rssMax, look.rssBytes);
    this.descriptorsMax = Math.max(this.descriptorsMax, total(look.descriptors));
    this.latest = look.descriptors;
    if (look.ageMs >= WARM_UP_MS) {
      this.descriptors.add(look.ageMs, total(look.descriptors));
      this.warm ??= look.descriptors;
    }
    if (look.ageMs >= HEAP_WARM_UP_MS) this.rss.add(look.ageMs, look.rssBytes);
    return fallen;
  }

  get figures(): LifeFigures {
    const saysMemory = this.rss.span >= HEAP_TREND_MS;
    const saysDescriptors = this.descriptors.span >= TREND_MS;
    return {
      looks: this.looks,
      ageMs: this.ageMs,
      rssMaxBytes: this.rssMax,
      rssGrowthBytes: saysMemory ? Math.round(this.rss.growth) : null,
      descriptorsMax: this.descriptorsMax,
      descriptorGrowth: saysDescriptors ? Math.round(this.descriptors.growth) : null,
    };
  }

  /** When it is over, or the soak: violations of what must be flat. */
  judge(): string[] {
    const { rssMaxBytes, rssGrowthBytes, descriptorsMax, descriptorGrowth } = this.figures;
    const mb = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
    const found: string[] = [];
    if (rssMaxBytes > RSS_BYTES_MAX)
      found.push(`${this.name}: ${mb(rssMaxBytes)} of memory, at most ${mb(RSS_BYTES_MAX)}`);
    if ((rssGrowthBytes ?? 0) > RSS_GROWTH_BYTES)
      found.push(
        `${this.name}: memory grew by ${mb(rssGrowthBytes ?? 0)}, at most ${mb(RSS_GROWTH_BYTES)}`,
      );
    if (descriptorsMax > DESCRIPTORS_MAX)
      found.push(`${this.name}: ${descriptorsMax} descriptors, at most ${DESCRIPTORS_MAX}`);
    if ((descriptorGrowth ?? 0) > DESCRIPTOR_GROWTH)
      found.push(
        `${this.name}: descriptors grew by ${descriptorGrowth}, at most ${DESCRIPTOR_GROWTH}; from warm-up to now ${renderGrowth(this.warm ?? {}, this.latest)}`,
      );
    return found;
  }
}

export interface BooksPage {
  counters: Readonly<Record<string, number>>;
  drops: Readonly<Record<'outbound' | 'inbound', Readonly<Record<string, number>>>>;
}

/** Packets in are packets out and counted drops, both ways; '' when they are. */
export function booksProblem({ counters, drops }: BooksPage): string {
  const sum = (reasons: Readonly<Record<string, number>>): number =>
    Object.values(reasons).reduce((a, b) => a + b, 0);
  const of = (name: string): number => counters[name] ?? Number.NaN;
  const open = [
    ['out', of('outPackets'), of('sentPackets'), sum(drops.outbound)],
    ['in', of('inPackets'), of('deliveredPackets'), sum(drops.inbound)],
  ] as const;
  return open
    .filter(([, taken, passed, dropped]) => taken !== passed + dropped)
    .map(
      ([way, taken, passed, dropped]) =>
        `${way}: ${taken} packets taken, ${passed} passed on, ${dropped} dropped`,
    )
    .join('; ');
}
