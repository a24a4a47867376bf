/** Whether this node could start without its store. */
import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { Memory } from '../../cluster/remember/memory.ts';
import { MEMORY_FILE, readMemory } from '../../cluster/remember/memory-file.ts';
import { renderAge, renderMinutes } from '../render.ts';
import { type Check, type Finding, ok, skipped, warn } from './check.ts';
import { isRoot, NOT_ROOT } from './rights.ts';

export const MEMORY_CHECK: Check = {
  id: 'memory',
  group: 'store',
  severity: 'warn',
  title: 'start without the store',
  run: async ({ settings }) => {
    if (!settings) return skipped('no settings');
    if (!settings.startFromMemory) return skipped('--start-from-memory=false');
    if (!isRoot()) return skipped(NOT_ROOT);
    const file = path.join(settings.stateFolder, MEMORY_FILE);
    // The daemon's user is the one whose folder it is.
    const owner = await stat(settings.stateFolder).catch(() => undefined);
    return judgeMemory(file, await readMemory(file, owner?.uid), Date.now());
  },
};

/** `found`: as {@link readMemory} has it. */
export function judgeMemory(
  file: string,
  found: Memory | string | undefined,
  nowMs: number,
): Finding {
  if (found === undefined) return skipped(`${file} is not there yet`);
  if (typeof found === 'string')
    return warn(
      `${file} is not used: ${found}`,
      'start weftd: it writes a new one while the store answers',
    );
  const { own, others, savedAtMs } = found;
  const text = `${own.key} and ${others.length} other nodes, ${renderMinutes(nowMs - savedAtMs)} old`;
  if (own.isPermanent || own.expiresAtMs === undefined) return ok(text);
  const leftMs = own.expiresAtMs - nowMs;
  if (leftMs > 0) return ok(`${text}, good for ${renderAge(leftMs)}`);
  return warn(`${text}; the lease in it has ended`, 'start weftd while the store answers');
}
