/** What happens when in a soak: a pure function of seed, minutes and kind of store, so that a run can be repeated. */
import { Random } from '../random.ts';
import { ALL_FAULTS } from './all-faults.ts';
import type { FaultKind, FaultTarget } from './fault.ts';

/** The nodes of a soak, by number: three of weft and a stock one. */
export const NODES = {
  weft: [0, 1, 2],
  /** the third lives through the whole soak */
  mortal: [0, 1],
  clocked: [0],
  kernel: [3],
  store: [-1],
} as const satisfies Record<FaultTarget, readonly number[]>;

export interface PlannedFault {
  fault: string;
  /** number of a node from 0, -1: the store */
  target: number;
  heldMs: number;
}

/** One fault, or two at once. */
export interface Step {
  /** since the begin */
  atMs: number;
  faults: readonly PlannedFault[];
}

export interface ScheduleOptions {
  seed: number;
  minutes: number;
  store: 'etcd' | 'file';
}

/** Before the first fault, after the last one, and between two: traffic without any excuse. */
const CALM_MS = { first: 5_000, last: 10_000, least: 2_000, more: 3_000 };
const TWICE = 0.25;

/** All faults come before one comes again. Times are when the machine keeps up; a slow one does the same later. */
export function scheduleOf({ seed, minutes, store }: ScheduleOptions): Step[] {
  const random = new Random(seed);
  const deck = new Deck(
    ALL_FAULTS.filter((kind) => (kind.store ?? store) === store),
    random,
  );
  const steps: Step[] = [];
  const endMs = minutes * 60_000 - CALM_MS.last;
  for (let atMs = CALM_MS.first; ; ) {
    const first = deck.draw(() => true) as FaultKind;
    const second = random.chance(TWICE) ? deck.draw((kind) => canMeet(first, kind)) : undefined;
    const kinds = second ? [first, second] : [first];
    const taken: number[] = [];
    const faults = kinds.map((kind) => {
      const planned = plan(kind, random, taken);
      taken.push(planned.target);
      return planned;
    });
    const nextMs = atMs + lengthOf(kinds, faults);
    if (nextMs > endMs) return steps;
    steps.push({ atMs, faults });
    atMs = nextMs + CALM_MS.least + random.below(CALM_MS.more);
  }
}

/** Two faults at once must not undo each other, and none that reads or writes the store meets one of the store. */
export function canMeet(first: FaultKind, second: FaultKind): boolean {
  if (first.group === second.group) return false;
  if (first.group === 'store' && second.needsStore) return false;
  if (second.group === 'store' && first.needsStore) return false;
  return !(first.target === 'kernel' && second.target === 'kernel');
}

/** A target that no other fault of the step has, where there is one. */
function plan(kind: FaultKind, random: Random, taken: readonly number[]): PlannedFault {
  const all: readonly number[] = NODES[kind.target];
  const free = all.filter((node) => !taken.includes(node));
  const [least, most] = kind.heldMs;
  return {
    fault: kind.name,
    target: random.pick(free.length > 0 ? free : all),
    heldMs: least + random.below(most - least + 1),
  };
}

function lengthOf(kinds: readonly FaultKind[], faults: readonly PlannedFault[]): number {
  return Math.max(...faults.map(({ heldMs }, i) => heldMs + (kinds[i] as FaultKind).boundMs));
}

/** Faults in random order; shuffled anew when all are drawn. */
class Deck {
  private readonly all: readonly FaultKind[];
  private readonly random: Random;
  private left: FaultKind[] = [];

  constructor(all: readonly FaultKind[], random: Random) {
    this.all = all;
    this.random = random;
  }

  /** The next one that fits. */
  draw(fits: (kind: FaultKind) => boolean): FaultKind | undefined {
    if (this.left.length === 0) this.left = this.shuffled();
    const at = this.left.findIndex(fits);
    return at < 0 ? undefined : this.left.splice(at, 1)[0];
  }

  private shuffled(): FaultKind[] {
    const rest = [...this.all];
    return this.all.map(() => rest.splice(this.random.below(rest.length), 1)[0] as FaultKind);
  }
}

export function targetText(target: number): string {
  return target < 0 ? 'the store' : `n${target + 1}`;
}

/** One line: "device down on n2, etcd frozen for 3.2 s". */
export function stepText({ faults }: Step): string {
  return faults
    .map(({ fault, target, heldMs }) => {
      const where = target < 0 ? '' : ` on ${targetText(target)}`;
      return `${fault}${where}${heldMs > 0 ? ` for ${(heldMs / 1000).toFixed(1)} s` : ''}`;
    })
    .join(', and ');
}

/** Minutes and seconds. */
export function timeText(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  return `${String(Math.floor(seconds / 60)).padStart(2, '0')}:${String(seconds % 60).padStart(2, '0')}`;
}
