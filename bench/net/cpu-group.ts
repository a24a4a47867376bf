/** A control group that counts the processor time of what is put into it: version 2 counts in every group, without any controller. */
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EXIT, messageOf, WeftError } from '../../src/shared/errors.ts';

const PREFIX = 'weft-bench-';
let nextNumber = 0;

export class CpuGroup {
  /** where it is in the file system */
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Throws WeftError (exit 71) when control groups of version 2 are not mounted, or can't be made. */
  static create(): CpuGroup {
    const root = unifiedRoot(readFileSync('/proc/self/mounts', 'utf8'));
    if (root === undefined) throw unavailable('they are not mounted');
    const folder = join(root, `${PREFIX}${process.pid}-${++nextNumber}`);
    try {
      mkdirSync(folder);
    } catch (error) {
      throw unavailable(messageOf(error));
    }
    return new CpuGroup(folder);
  }

  /** Moves processes into it, with all their threads; one that ended is passed over. */
  add(pids: readonly number[]): void {
    for (const pid of pids)
      try {
        writeFileSync(join(this.folder, 'cgroup.procs'), String(pid));
      } catch (error) {
        if (!messageOf(error).includes('ESRCH')) throw error;
      }
  }

  get pids(): number[] {
    const text = readFileSync(join(this.folder, 'cgroup.procs'), 'utf8');
    return text.split('\n').filter(Boolean).map(Number);
  }

  /** Used by all its processes since it was made, those that ended too. */
  get seconds(): number {
    return usageSeconds(readFileSync(join(this.folder, 'cpu.stat'), 'utf8'));
  }

  /** Its processes must have ended; one that has not keeps the group. */
  remove(): void {
    try {
      rmdirSync(this.folder);
    } catch {
      // swept by a later run
    }
  }
}

function unavailable(why: string): WeftError {
  const message = `processor time is measured by control groups of version 2: ${why}; mount cgroup2, or run on the host itself`;
  return new WeftError('ERR_CPU_GROUP', EXIT.os, message);
}

/** Removes groups of runs that were killed. */
export function sweepGroups(): void {
  const root = unifiedRoot(readFileSync('/proc/self/mounts', 'utf8'));
  if (root === undefined) return;
  for (const name of readdirSync(root).filter((each) => each.startsWith(PREFIX)))
    try {
      rmdirSync(join(root, name));
    } catch {
      // somebody is in it
    }
}

/** Where the unified hierarchy is mounted, from /proc/self/mounts; alone or beside those of version 1. */
export function unifiedRoot(mounts: string): string | undefined {
  return mounts
    .split('\n')
    .map((line) => line.split(' '))
    .find(([, , type]) => type === 'cgroup2')?.[1];
}

export function usageSeconds(stat: string): number {
  return Number(/^usage_usec (\d+)$/m.exec(stat)?.[1]) / 1e6;
}
