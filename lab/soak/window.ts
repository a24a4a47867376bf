/** The time in which a fault may be felt, and by whom. Times are of monotonicMs(). */
import type { MachineLoad } from './machine-load.ts';
import type { Way } from './talk.ts';

export interface Window {
  fault: string;
  /** number of the node that it was done to, -1: the store */
  target: number;
  /** nodes whose packets it touches */
  nodes: readonly number[];
  /** they may be lost, not only late */
  loses: boolean;
  boundMs: number;
  beganMs: number;
  /** when its cause was gone; undefined: not yet */
  overMs?: number;
}

/** What is on its way or waits in a process that is not scheduled was sent before. */
const IN_FLIGHT_MS = 200;

export function touches(
  { nodes }: Pick<Window, 'nodes'>,
  { from, to }: Pick<Way, 'from' | 'to'>,
): boolean {
  return nodes.includes(from) || nodes.includes(to);
}

/** From when on packets may miss. */
export function fromMs({ beganMs }: Window, load: MachineLoad): number {
  return beganMs - IN_FLIGHT_MS - load.lateMs(beganMs, beganMs);
}

/** Until when, judged at `atMs`: the bound times what work took longer on this machine since the fault began. */
export function untilMs(
  { beganMs, overMs, boundMs }: Window,
  load: MachineLoad,
  atMs: number,
): number {
  if (overMs === undefined) return Number.POSITIVE_INFINITY;
  return overMs + boundMs * load.stretch(beganMs, atMs) + load.lateMs(atMs, atMs);
}
