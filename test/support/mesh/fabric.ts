/**
 * What a network does to datagrams: loses, copies, damages, marks and delays them, and changes their order. Every decision comes from the
 * seed; nothing here does I/O or looks at a clock, time is the number of the step.
 */

import type { Random } from '../../../lab/random.ts';
import type { Words } from '../../../src/shared/address.ts';

/** How often, from 0 to 1; nothing by default. */
export interface Faults {
  loss?: number;
  duplication?: number;
  /** cut short, or wrong in 1 to damagesMax bytes; a checksum always sees one of them, two may cancel out in it. 1 by default. */
  corruption?: number;
  damagesMax?: number;
  /** overtakes up to OVERTAKEN_MAX datagrams of its step */
  reordering?: number;
  /** ECN: congestion experienced */
  congestion?: number;
  /** arrives in one of so many steps later, evenly; 0 = in the step it was sent */
  delayStepsMax?: number;
  /** joins the datagram in front of it as UDP_GRO would, if it may */
  merging?: number;
}

export interface Flight {
  /** counts datagrams in the order they were sent; copies share it */
  readonly id: number;
  /** number of the sending node; 0 = somebody else */
  readonly from: number;
  /** somebody else's address */
  readonly source?: Words;
  readonly to: number;
  readonly bytes: Uint8Array;
  readonly tos: number;
  /** not as a node sent it */
  readonly isDamaged: boolean;
}

interface Due {
  flight: Flight;
  step: number;
  rank: number;
}

const OVERTAKEN_MAX = 16;
const CONGESTION_EXPERIENCED = 3;

export class Fabric {
  /** accepted + copies = lost + arrived + in flight; placed ones are among the accepted */
  readonly books = { accepted: 0, placed: 0, copies: 0, lost: 0, arrived: 0 };
  /** what a node sent last, as it sent it */
  newest: Uint8Array = Uint8Array.of(0);
  private readonly random: Random;
  private readonly faults: Faults;
  private due: Due[] = [];
  private rank = 0;

  constructor(random: Random, faults: Faults) {
    this.random = random;
    this.faults = faults;
  }

  get inFlight(): number {
    return this.due.length;
  }

  /** Takes one datagram in; says in words what becomes of it. */
  accept(from: number, to: number, bytes: Uint8Array, tos: number, step: number): string {
    const { random, faults } = this;
    this.newest = bytes;
    const id = ++this.books.accepted;
    const name = `#${id} ${bytes.length} B`;
    if (random.chance(faults.loss ?? 0)) {
      this.books.lost++;
      return `${name} lost`;
    }
    const copies = random.chance(faults.duplication ?? 0) ? 2 : 1;
    this.books.copies += copies - 1;
    const fates = Array.from({ length: copies }, () =>
      this.send({ id, from, to, bytes, tos, isDamaged: false }, step),
    );
    return `${name}${fates.join(' and')}`;
  }

  /** Puts somebody else's datagram where it arrives in `step`, untouched. Returns its id. */
  place(to: number, bytes: Uint8Array, tos: number, source: Words, step: number): number {
    const id = ++this.books.accepted;
    this.books.placed++;
    const flight = { id, from: 0, source, to, bytes, tos, isDamaged: true };
    this.due.push({ flight, step, rank: this.rank++ });
    return id;
  }

  private send(flight: Flight, step: number): string {
    const { random, faults } = this;
    const words: string[] = [];
    let { bytes, tos } = flight;
    const isDamaged = random.chance(faults.corruption ?? 0);
    if (isDamaged) {
      bytes = this.damaged(bytes);
      words.push(bytes.length === flight.bytes.length ? ' damaged' : ` cut to ${bytes.length} B`);
    }
    if (random.chance(faults.congestion ?? 0)) {
      tos |= CONGESTION_EXPERIENCED;
      words.push(' marked');
    }
    const delay = random.below((faults.delayStepsMax ?? 0) + 1);
    if (delay > 0) words.push(` late by ${delay}`);
    const overtaken = random.chance(faults.reordering ?? 0) ? 1 + random.below(OVERTAKEN_MAX) : 0;
    if (overtaken > 0) words.push(` overtakes ${overtaken}`);
    // Half a place in front of those that it overtakes.
    const rank = overtaken > 0 ? this.rank++ - overtaken - 0.5 : this.rank++;
    this.due.push({ flight: { ...flight, bytes, tos, isDamaged }, step: step + delay, rank });
    return words.join(',');
  }

  private damaged(whole: Uint8Array): Uint8Array {
    const { random } = this;
    if (random.below(4) === 0) return whole.slice(0, 1 + random.below(whole.length));
    const bytes = whole.slice();
    // Headers are the interesting part, so half of all damage hits the first bytes.
    const reach = random.below(2) === 0 ? Math.min(bytes.length, 80) : bytes.length;
    for (let i = 1 + random.below(this.faults.damagesMax ?? 1); i > 0; i--) {
      const at = random.below(reach);
      bytes[at] =
        random.below(2) === 0 ? random.below(256) : (bytes[at] as number) ^ (1 << random.below(8));
    }
    return bytes;
  }

  /** What reaches this node in this step, in order. */
  arrivals(to: number, step: number): Flight[] {
    const isNow = (due: Due): boolean => due.flight.to === to && due.step <= step;
    const now = this.due.filter(isNow).sort((a, b) => a.step - b.step || a.rank - b.rank);
    this.due = this.due.filter((due) => !isNow(due));
    this.books.arrived += now.length;
    return now.map(({ flight }) => flight);
  }

  /** Arrivals as the kernel hands them over: some with those behind them in one message, as UDP_GRO merges them. */
  messagesOf(arrivals: readonly Flight[]): Flight[][] {
    const messages: Flight[][] = [];
    for (const flight of arrivals) {
      const message = messages.at(-1);
      if (message && mayJoin(message, flight) && this.random.chance(this.faults.merging ?? 0))
        message.push(flight);
      else messages.push([flight]);
    }
    return messages;
  }
}

/** Equal size, TOS and sender; the last may be shorter. Damaged ones stay alone: what they say of their length is nobody's. */
function mayJoin(message: readonly Flight[], next: Flight): boolean {
  const first = message[0] as Flight;
  const last = message.at(-1) as Flight;
  if (first.isDamaged || next.isDamaged) return false;
  const isAlike = next.from === first.from && next.tos === first.tos;
  return (
    isAlike && last.bytes.length === first.bytes.length && next.bytes.length <= last.bytes.length
  );
}
