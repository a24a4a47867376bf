/** The one place where a packet that is not forwarded gets its reason. */
import { DROPS_AT } from '../shared/counters.ts';
import { DROP } from '../shared/drops.ts';
import { LAYOUT } from '../shared/layout.ts';

const EAGAIN = 11;
const EMSGSIZE = 90;
const ENOBUFS = 105;

export function countDrop(counters: Float64Array, reason: number): void {
  counters[DROPS_AT + reason] = (counters[DROPS_AT + reason] as number) + 1;
}

export function add(counters: Float64Array, counter: number, amount: number): void {
  counters[counter] = (counters[counter] as number) + amount;
}

/** Reason for a row that the native send refused, from its result column. */
export function reasonOfSend(result: number): number {
  if (result === LAYOUT.rowBad) return DROP.outBadOffload;
  if (result === EMSGSIZE) return DROP.outUnderlayMtu;
  if (result === EAGAIN || result === ENOBUFS) return DROP.outUnderlayFull;
  return DROP.outUnderlayRefused;
}
