/**
 * One writer at a time in a folder that many nodes share, over network file systems too: a file whose name can be linked only once. Each
 * lock has a token of its own. Whoever ends a lock, its owner or somebody who believes the owner dead, first claims that token by a second
 * link, and only one can: so nobody ever removes a lock that is not the one he meant.
 */
import { randomBytes } from 'node:crypto';
import { link, readFile, unlink } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT, WeftError } from '../../shared/errors.ts';

/** A lock that stays the same for this long, by our own watch, belongs to a dead writer. */
const STALE_MS = 5_000;
/** In a crowd each has its turn of some milliseconds. */
const WAIT_MS = 30_000;
const LOOK_MS_MIN = 10;
const LOOK_MS_MAX = 60;

export interface LockFolder {
  folder: string;
  /** Writes a new file into the folder and returns its name. */
  writeDraft(text: string): Promise<string>;
}

export interface Lock {
  /** False when others took us for dead: a process may be frozen for longer than they wait. */
  isHeld(): Promise<boolean>;
  end(): Promise<void>;
}

/** Throws WeftError ERR_STORE_UNAVAILABLE when others have it for too long, and what the file system says. */
export async function takeLock(
  { folder, writeDraft }: LockFolder,
  staleMs = STALE_MS,
): Promise<Lock> {
  const token = randomBytes(8).toString('hex');
  const lock = path.join(folder, '.lock');
  const draft = await writeDraft(token);
  try {
    await takeTurn(lock, draft, staleMs);
  } finally {
    await unlink(draft).catch(ignoreMissing);
  }
  return {
    isHeld: async () => (await readFile(lock, 'utf8').catch(ignoreMissing)) === token,
    end: () => endLock(lock, token),
  };
}

async function takeTurn(lock: string, draft: string, staleMs: number): Promise<void> {
  const startedMs = performance.now();
  let seen: string | undefined;
  let seenAtMs = startedMs;
  for (;;) {
    if (await linkNew(draft, lock)) return;
    const nowMs = performance.now();
    const holder = await readFile(lock, 'utf8').catch(() => undefined);
    if (holder !== seen) seenAtMs = nowMs;
    seen = holder;
    const sameForMs = nowMs - seenAtMs;
    if (nowMs - startedMs > WAIT_MS) throw busy(lock);
    if (holder !== undefined && sameForMs > staleMs) {
      // Whoever claimed it first must have died in between.
      if (sameForMs > 2 * staleMs) await unlink(claimOf(lock, holder)).catch(ignoreMissing);
      await endLock(lock, holder);
    }
    await sleep(LOOK_MS_MIN + Math.random() * (LOOK_MS_MAX - LOOK_MS_MIN));
  }
}

/** Removes the lock if it still has this token. What another one is just ending is left to him. */
async function endLock(lock: string, token: string): Promise<void> {
  const claim = claimOf(lock, token);
  if (!(await linkNew(lock, claim).catch(ignoreMissing))) return;
  try {
    // Who believes us dead may have ended our claim: then the lock is his affair.
    const claimed = await readFile(claim, 'utf8').catch(ignoreMissing);
    if (claimed === token) await unlink(lock).catch(ignoreMissing);
  } finally {
    await unlink(claim).catch(ignoreMissing);
  }
}

/** A lock of an older weft is empty, of a stranger anything: as a part of a name it is bounded and plain. */
function claimOf(lock: string, token: string): string {
  return `${lock}-${token.replace(/[^0-9a-f]/g, '').slice(0, 32) || 'none'}`;
}

/** False when the new name is there already. */
async function linkNew(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function busy(lock: string): WeftError {
  const message = `store: others have held ${lock} for ${WAIT_MS / 1000} s; trying again is safe`;
  return new WeftError('ERR_STORE_UNAVAILABLE', EXIT.unavailable, message);
}

export function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
  return undefined;
}
