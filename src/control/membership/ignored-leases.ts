/** What a list holds that is no peer, in one line however much it is: whoever may write to the store must not write our log. */
import type { Skipped } from '../../cluster/peers.ts';
import { getOrMake } from '../../shared/memo.ts';
import { printable } from '../../shared/printable.ts';

/** Leases that are named. */
const NAMED_MAX = 3;
const UNREADABLE = 'that can not be read';

export interface Ignored {
  /** "3 leases ignored: 2 of another backend type, 1 outside the network" */
  text: string;
  /** some of them, each with its reason; of as many kinds as possible */
  such: string[];
}

/** undefined when nothing is ignored. A dual-stack lease that is ignored in both families counts for each. */
export function ignoredLeases(
  unreadable: readonly string[],
  skipped: readonly Skipped[],
): Ignored | undefined {
  const reasons = new Map<string, { count: number; texts: string[] }>();
  const add = (kind: string, key: string, why: string): void => {
    const reason = getOrMake(reasons, kind, () => ({ count: 0, texts: [] as string[] }));
    reason.count++;
    if (reason.texts.length < NAMED_MAX) reason.texts.push(`${printable(key)}: ${why}`);
  };
  for (const key of unreadable) add(UNREADABLE, key, 'not a lease');
  for (const { kind, key, why } of skipped) add(kind, key, why);
  const count = unreadable.length + skipped.length;
  if (count === 0) return undefined;
  const parts = [...reasons].map(([kind, reason]) => `${reason.count} ${kind}`);
  const byTurns = Array.from({ length: NAMED_MAX }, (_, turn) =>
    [...reasons.values()].flatMap(({ texts }) => texts[turn] ?? []),
  );
  return {
    text: `${count} ${count === 1 ? 'lease' : 'leases'} ignored: ${parts.join(', ')}`,
    such: byTurns.flat().slice(0, NAMED_MAX),
  };
}
