/**
 * The walk of a sample packet through all chains of its hooks, in the kernel's order. A rule of which nobody can say here whether it
 * matches leads two ways at once: what is known in the end is whether the packet surely passes, surely does not, or may not.
 */
import type { Packet, Stop } from './packet.ts';
import { type Action, type Answer, allOf, type Chain, type Rule, type Table } from './ruleset.ts';

/** Where a packet ended. */
export interface Place {
  table: Table;
  chain: Chain;
  /** the chain at the hook, in which the way there began */
  base: Chain;
  /** undefined: the policy of the base chain */
  rule: Rule | undefined;
}

export type Verdict =
  | { kind: 'accepted' }
  | { kind: 'dropped'; by: Place }
  /** `because`: the last rule before it that can't be judged here */
  | { kind: 'unknown'; by: Place; because: Place };

/** Chains that jump to each other from many places make long ways. */
const STEPS_MAX = 500_000;

export function walk(tables: readonly Table[], packet: Packet): Verdict {
  return new Walk(packet).through(tables);
}

/** How a packet may leave a chain. Being dropped is noted elsewhere. */
interface Ends {
  isAccepted: boolean;
  goesBack: boolean;
}

class Walk {
  private packet: Packet;
  /** false behind a rule that may have ended the way */
  private isSure = true;
  private steps = 0;
  private doubt: Place | undefined;
  /** where it may end: the last one surely, when nothing goes on from there */
  private readonly drops: { by: Place; because: Place | undefined }[] = [];

  constructor(packet: Packet) {
    this.packet = packet;
  }

  through(tables: readonly Table[]): Verdict {
    for (const stop of this.packet.stops) {
      for (const { table, base } of basesAt(stop, tables, this.packet)) {
        if (this.passes(stop, table, base)) continue;
        const last = this.drops.at(-1);
        if (last) return { kind: 'dropped', by: last.by };
      }
    }
    const [first] = this.drops;
    if (!first) return { kind: 'accepted' };
    return { kind: 'unknown', by: first.by, because: first.because ?? first.by };
  }

  /** False where the packet surely ends. */
  private passes({ layer }: Stop, table: Table, base: Chain): boolean {
    const { inDevice, outDevice } = this.packet;
    // There rules see the ports of the bridge, and a pod's is not known.
    if (layer === 'bridge')
      this.packet = { ...this.packet, inDevice: undefined, outDevice: undefined };
    const { isAccepted, goesBack } = this.chain(table, base, base);
    this.packet = { ...this.packet, inDevice, outDevice };
    if (!goesBack) return isAccepted;
    if (base.base?.policy !== 'drop') return true;
    this.end({ table, chain: base, base, rule: undefined });
    return isAccepted;
  }

  private chain(table: Table, chain: Chain, base: Chain): Ends {
    const ends: Ends = { isAccepted: false, goesBack: false };
    for (const rule of chain.rules) {
      const place = { table, chain, base, rule };
      if (++this.steps > STEPS_MAX) {
        this.mayEnd(place);
        return { isAccepted: true, goesBack: true };
      }
      const match = allOf(rule.tests.map((test) => test(this.packet)));
      if (match === false) continue;
      if (match === undefined) this.doubt = place;
      if (rule.change) this.change(rule.change(this.packet), match);
      if (match === undefined && rule.action.kind !== 'next') this.isSure = false;
      const { goesOn, ...after } = this.act(rule.action, place);
      ends.isAccepted ||= after.isAccepted;
      ends.goesBack ||= after.goesBack;
      if (match && !goesOn) return ends;
    }
    ends.goesBack = true;
    return ends;
  }

  private act(action: Action, place: Place): Ends & { goesOn: boolean } {
    const nothing = { isAccepted: false, goesBack: false, goesOn: false };
    if (action.kind === 'accept') return { ...nothing, isAccepted: true };
    if (action.kind === 'return') return { ...nothing, goesBack: true };
    if (action.kind === 'next') return { ...nothing, goesOn: true };
    if (action.kind === 'drop') {
      this.end(place);
      return nothing;
    }
    const chain = 'chain' in action ? place.table.chains.get(action.chain) : undefined;
    if (!chain) {
      this.mayEnd(place);
      return { isAccepted: true, goesBack: false, goesOn: true };
    }
    const { isAccepted, goesBack } = this.chain(place.table, chain, place.base);
    return action.kind === 'goto'
      ? { isAccepted, goesBack, goesOn: false }
      : { isAccepted, goesBack: false, goesOn: goesBack };
  }

  private change(changes: Partial<Packet>, match: Answer): void {
    const isKnown = match === true && this.isSure;
    const unknown = Object.fromEntries(Object.keys(changes).map((key) => [key, undefined]));
    this.packet = { ...this.packet, ...(isKnown ? changes : unknown) };
  }

  private end(by: Place): void {
    this.drops.push({ by, because: this.doubt });
  }

  private mayEnd(place: Place): void {
    this.doubt = place;
    this.isSure = false;
    this.end(place);
  }
}

/** The chains of a hook, the lowest priority first. */
function basesAt(
  { layer, hook }: Stop,
  tables: readonly Table[],
  packet: Packet,
): { table: Table; base: Chain }[] {
  const found = tables.flatMap((table) =>
    [...table.chains.values()].flatMap((base) => (isAt(table, base) ? { table, base } : [])),
  );
  return found.sort((a, b) => (a.base.base?.priority ?? 0) - (b.base.base?.priority ?? 0));

  function isAt({ family }: Table, { base }: Chain): boolean {
    if (base?.hook !== hook) return false;
    if (layer === 'bridge') return family === 'bridge';
    if (layer === 'ip') return family === 'inet' || family === (packet.family === 4 ? 'ip' : 'ip6');
    return base.devices.includes(packet.inDevice ?? '');
  }
}
