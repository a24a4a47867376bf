/** What happened in a mesh, event by event: lines for people, a digest to compare two runs, a sequence diagram for a bug report. */
import { createHash } from 'node:crypto';

interface Event {
  step: number;
  from: string;
  /** undefined: something that happens at `from` */
  to: string | undefined;
  text: string;
}

/** Enough to see what led to a failure; the digest knows all. */
const EVENTS_KEPT = 10_000;

export class MeshLog {
  private readonly hash = createHash('sha256');
  private readonly events: Event[] = [];

  add(step: number, from: string, to: string | undefined, text: string): void {
    const event = { step, from, to, text };
    this.hash.update(`${lineOf(event)}\n`);
    this.events.push(event);
    if (this.events.length > EVENTS_KEPT) this.events.shift();
  }

  /** Of everything that was ever added. */
  digest(): string {
    return this.hash.copy().digest('hex');
  }

  /** The newest ones, oldest first. */
  lines(count = EVENTS_KEPT): string[] {
    return this.events.slice(-count).map(lineOf);
  }

  mermaid(count = EVENTS_KEPT): string {
    const arrows = this.events.slice(-count).map(({ step, from, to, text }) => {
      const words = `${step}: ${text.replaceAll('#', '')}`;
      return to === undefined ? `  Note over ${from}: ${words}` : `  ${from}->>${to}: ${words}`;
    });
    return ['sequenceDiagram', ...arrows, ''].join('\n');
  }
}

function lineOf({ step, from, to, text }: Event): string {
  return `step ${step}  ${to === undefined ? from : `${from} -> ${to}`}: ${text}`;
}
