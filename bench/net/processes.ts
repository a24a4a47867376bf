/** Processor time of every process, to know what others did to the machine during a run. Source: proc(5). */
import { readdirSync, readFileSync } from 'node:fs';
import { TICKS_PER_SECOND } from './cpu.ts';

/** Flag of kernel threads in the ninth field of /proc/PID/stat (PF_KTHREAD). */
const KERNEL_THREAD = 0x0020_0000;

export interface ProcessTime {
  pid: number;
  parent: number;
  isKernelThread: boolean;
  /** user and system time of it and of its children that ended, in seconds */
  seconds: number;
}

export type Snapshot = ReadonlyMap<number, ProcessTime>;

export function snapshot(): Snapshot {
  const all = new Map<number, ProcessTime>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const found = readStat(name);
    if (found) all.set(found.pid, found);
  }
  return all;
}

function readStat(pid: string): ProcessTime | undefined {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return undefined; // it ended meanwhile
  }
}

/** One /proc/PID/stat. The name in brackets may hold anything, brackets too. */
export function parseStat(text: string): ProcessTime {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const at = (number: number): number => Number(fields[number - 3]);
  const ticks = at(14) + at(15) + at(16) + at(17);
  return {
    pid: Number(text.slice(0, text.indexOf(' '))),
    parent: at(4),
    isKernelThread: (at(9) & KERNEL_THREAD) !== 0,
    seconds: ticks / TICKS_PER_SECOND,
  };
}

/**
 * What the wanted processes used between two snapshots. One that began in between counts from zero; of one that ended, its parent has the
 * time (or whoever had the parent's), less what it had used before. One that began and ended under a parent that ended as well is not seen.
 */
export function secondsBetween(
  before: Snapshot,
  after: Snapshot,
  isWanted: (process: ProcessTime) => boolean,
): number {
  let sum = 0;
  for (const process of after.values())
    if (isWanted(process)) sum += process.seconds - (before.get(process.pid)?.seconds ?? 0);
  for (const gone of before.values()) {
    const heir = after.has(gone.pid) ? undefined : heirOf(gone, before, after);
    if (heir && isWanted(heir)) sum -= gone.seconds;
  }
  return Math.max(0, sum);
}

/** The nearest ancestor that still runs: it has the time of all that ended below it. */
function heirOf(gone: ProcessTime, before: Snapshot, after: Snapshot): ProcessTime | undefined {
  let parent = gone.parent;
  for (let depth = 0; depth < before.size; depth++) {
    const heir = after.get(parent);
    const next = before.get(parent);
    if (heir || !next) return heir;
    parent = next.parent;
  }
  return undefined;
}
