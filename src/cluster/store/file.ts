/**
 * The file store: one directory with flannel's key names and value bytes.
 *   <dir>/config              network config JSON
 *   <dir>/subnets/<key>       a lease; written by hand it is a permanent one
 *   <dir>/leases/<key>        {"expiresAt":"RFC 3339"}: written before the key, so that no key looks permanent by accident
 * Writers hold <dir>/.lock for a moment; a lock older than LOCK_STALE_MS belongs to a dead writer and is broken.
 */
import { createHash, randomBytes } from 'node:crypto';
import { constants, type FSWatcher, watch as watchFolder } from 'node:fs';
import { link, lstat, mkdir, open, readdir, rename, stat, unlink } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT, messageOf, WeftError } from '../../shared/errors.ts';
import { PEERS_MAX, STORE_VALUE_BYTES_MAX } from '../../shared/limits.ts';
import { parseKey } from '../lease/key.ts';
import type { ClockReading } from '../registry.ts';
import type { CreateResult, ReplaceResult, Snapshot, Store, StoredLease } from './store.ts';

const RELIST_MS = 1_000;
/** A list that takes long is made seldom: at most this share of the time goes into listing. */
const RELIST_SHARE = 0.02;
/** Files looked at side by side: node's file threads are four. */
const LIST_TOGETHER = 16;
/** Files whose times are looked at for the clock. */
const CLOCK_FILES_MAX = 200;
const LOCK_STALE_MS = 5_000;
const LOCK_WAIT_MS = 10_000;

/** A lease as it was read, and what its files looked like then. */
interface Known {
  stamp: string;
  lease: StoredLease;
}

export class FileStore implements Store {
  readonly name: string;
  private readonly folder: string;
  /** what the last list read, so that the next one reads only what changed */
  private known = new Map<string, Known>();

  constructor(folder: string) {
    this.folder = path.resolve(folder);
    this.name = `file:${this.folder}`;
  }

  async readConfig(): Promise<string | undefined> {
    return this.guard(async () => readSmall(path.join(this.folder, 'config')));
  }

  async list(): Promise<Snapshot> {
    return this.guard(async () => {
      const names = (await readdir(this.subnets())).filter((name) => parseKey(name)).sort();
      const leases: StoredLease[] = [];
      const seen = new Map<string, Known>();
      for (let at = 0; at < Math.min(names.length, PEERS_MAX); at += LIST_TOGETHER) {
        const some = names.slice(at, Math.min(at + LIST_TOGETHER, PEERS_MAX));
        const read = await Promise.all(some.map((name) => this.readKnown(name, seen)));
        leases.push(...read.filter((lease) => lease !== undefined));
      }
      this.known = seen;
      return {
        leases,
        revision: hash(leases.map((lease) => `${lease.key} ${lease.revision}`).join('\n')),
      };
    });
  }

  watch(
    onSnapshot: (snapshot: Snapshot) => void,
    onError: (error: Error) => void,
    signal: AbortSignal,
  ): void {
    let last = '';
    const look = async (): Promise<void> => {
      try {
        const snapshot = await this.list();
        if (signal.aborted || snapshot.revision === last) return;
        last = snapshot.revision;
        onSnapshot(snapshot);
      } catch (error) {
        last = '';
        if (!signal.aborted) onError(error as Error);
      }
    };
    void this.watchLoop(look, signal);
  }

  /** Lists every RELIST_MS or, where listing takes long, seldomer; and at once when the folder says that something changed. */
  private async watchLoop(look: () => Promise<void>, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const startedMs = performance.now();
      await look();
      const tookMs = performance.now() - startedMs;
      await this.changeOrTimeout(signal, Math.max(RELIST_MS, tookMs / RELIST_SHARE));
    }
  }

  private async changeOrTimeout(signal: AbortSignal, timeoutMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      let watcher: FSWatcher | undefined;
      const done = (): void => {
        clearTimeout(timer);
        watcher?.close();
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      signal.addEventListener('abort', done);
      try {
        watcher = watchFolder(this.subnets(), done);
        watcher.on('error', done);
      } catch {
        // The folder is away: the timer alone looks again.
      }
    });
  }

  get configPlace(): string {
    return path.join(this.folder, 'config');
  }

  async expiry(key: string): Promise<number | undefined> {
    return this.guard(async () => (await this.read(key))?.expiresAtMs);
  }

  async create(key: string, value: string, ttlMs: number | undefined): Promise<CreateResult> {
    return this.locked(async () => {
      if (await this.read(key)) return 'exists';
      await unlink(this.keyFile(key)).catch(() => undefined); // an expired one
      await this.writeExpiry(key, ttlMs);
      const draft = await this.writeDraft(value);
      try {
        await link(draft, this.keyFile(key));
        return 'created';
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EEXIST') return 'exists';
        throw error;
      } finally {
        await unlink(draft);
      }
    });
  }

  async replace(
    key: string,
    value: string,
    ttlMs: number | undefined,
    revision: string,
  ): Promise<ReplaceResult> {
    return this.locked(async () => {
      const current = await this.read(key);
      if (current?.revision !== revision) return { ok: false };
      await this.writeExpiry(key, ttlMs);
      await rename(await this.writeDraft(value), this.keyFile(key));
      const written = await this.read(key);
      return written ? { ok: true, revision: written.revision } : { ok: false };
    });
  }

  async delete(key: string, revision?: string): Promise<boolean> {
    return this.locked(async () => {
      const current = await this.read(key);
      if (current && revision !== undefined && current.revision !== revision) return false;
      await unlink(this.keyFile(key)).catch(ignoreMissing);
      await unlink(this.expiryFile(key)).catch(ignoreMissing);
      return true;
    });
  }

  /** A file's time is never ahead of the clock that wrote it; behind it says nothing. */
  async readClock(): Promise<ClockReading> {
    const names = (await readdir(this.subnets())).slice(-CLOCK_FILES_MAX);
    const times = await Promise.all(names.map((name) => stat(path.join(this.subnets(), name))));
    const newest = Math.max(0, ...times.map(({ mtimeMs }) => mtimeMs));
    return { aheadMs: Math.max(0, newest - Date.now()), by: "the files' times" };
  }

  async close(): Promise<void> {
    // nothing is held open between calls
  }

  private subnets(): string {
    return path.join(this.folder, 'subnets');
  }

  private keyFile(key: string): string {
    if (!parseKey(key)) throw new Error(`store: "${key}" is no lease key`);
    return path.join(this.subnets(), key);
  }

  private expiryFile(key: string): string {
    return path.join(this.folder, 'leases', key);
  }

  /** The live lease, or undefined: missing, expired, or no small regular file. */
  private async read(key: string): Promise<StoredLease | undefined> {
    const value = await readSmall(this.keyFile(key));
    if (value === undefined) return undefined;
    const lease: StoredLease = { key, value, isPermanent: true, revision: hash(value) };
    const expiry = await readSmall(this.expiryFile(key));
    const expiresAtMs = expiry === undefined ? undefined : parseExpiry(expiry);
    if (expiresAtMs === undefined) return lease;
    if (expiresAtMs <= Date.now()) return undefined;
    lease.isPermanent = false;
    lease.expiresAtMs = expiresAtMs;
    lease.revision = hash(`${value}\n${expiresAtMs}`);
    return lease;
  }

  /** As {@link read}, without reading files that look as they did when `known` was made. */
  private async readKnown(key: string, seen: Map<string, Known>): Promise<StoredLease | undefined> {
    const stamp = `${await stampOf(this.keyFile(key))} ${await stampOf(this.expiryFile(key))}`;
    const known = this.known.get(key);
    const isSame = known?.stamp === stamp;
    const isLive = known?.lease.expiresAtMs === undefined || known.lease.expiresAtMs > Date.now();
    const lease = isSame && isLive ? known.lease : await this.read(key);
    if (lease) seen.set(key, { stamp, lease });
    return lease;
  }

  private async writeExpiry(key: string, ttlMs: number | undefined): Promise<void> {
    if (ttlMs === undefined) {
      await unlink(this.expiryFile(key)).catch(ignoreMissing);
      return;
    }
    const text = JSON.stringify({ expiresAt: new Date(Date.now() + ttlMs).toISOString() });
    await rename(await this.writeDraft(text), this.expiryFile(key));
  }

  private async writeDraft(text: string): Promise<string> {
    const draft = path.join(this.folder, `.draft-${randomBytes(8).toString('hex')}`);
    const file = await open(draft, 'wx', 0o644);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    return draft;
  }

  private async locked<T>(work: () => Promise<T>): Promise<T> {
    return this.guard(async () => {
      await mkdir(this.subnets(), { recursive: true });
      await mkdir(path.join(this.folder, 'leases'), { recursive: true });
      const lock = path.join(this.folder, '.lock');
      await takeLock(lock);
      try {
        return await work();
      } finally {
        await unlink(lock).catch(ignoreMissing);
      }
    });
  }

  private async guard<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === undefined) throw error;
      throw new WeftError(
        'ERR_STORE_UNAVAILABLE',
        EXIT.unavailable,
        `store ${this.name}: ${messageOf(error)}; check that the directory exists and is writable`,
        error,
      );
    }
  }
}

async function takeLock(lock: string): Promise<void> {
  const deadline = Date.now() + LOCK_WAIT_MS;
  for (;;) {
    try {
      await (await open(lock, 'wx')).close();
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || Date.now() > deadline) throw error;
    }
    const age =
      Date.now() -
      (await lstat(lock).then(
        (stat) => stat.mtimeMs,
        () => Date.now(),
      ));
    if (age > LOCK_STALE_MS) await unlink(lock).catch(ignoreMissing);
    else await sleep(20);
  }
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}

/** Text of a small regular file; undefined if there is none (links and devices are not followed). */
async function readSmall(file: string): Promise<string | undefined> {
  let handle: Awaited<ReturnType<typeof open>>;
  try {
    handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ELOOP' || code === 'ENXIO') return undefined;
    throw error;
  }
  try {
    const stat = await handle.stat();
    if (!stat.isFile() || stat.size > STORE_VALUE_BYTES_MAX) return undefined;
    return await handle.readFile('utf8');
  } finally {
    await handle.close();
  }
}

/** Changes whenever the file does: writers give a new file its name. A file changed in place shows by its times and size. */
async function stampOf(file: string): Promise<string> {
  try {
    const { ino, size, mtimeNs, ctimeNs } = await lstat(file, { bigint: true });
    return `${ino} ${size} ${mtimeNs} ${ctimeNs}`;
  } catch (error) {
    ignoreMissing(error as NodeJS.ErrnoException);
    return '-';
  }
}

function parseExpiry(text: string): number | undefined {
  try {
    const at = Date.parse((JSON.parse(text) as { expiresAt: string }).expiresAt);
    return Number.isNaN(at) ? undefined : at;
  } catch {
    return undefined;
  }
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
