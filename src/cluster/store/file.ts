/**
 * The file store: one directory with flannel's key names and value bytes.
 *   <dir>/config              network config JSON
 *   <dir>/subnets/<key>       a lease; written by hand it is a permanent one
 *   <dir>/leases/<key>        {"expiresAt":"RFC 3339"}: written before the key, so that no key looks permanent by accident
 * Writers hold <dir>/.lock for a moment (file-lock.ts). Times are those of the clock that stamps the files (file-clock.ts): of a
 * shared folder it is the same for all nodes, whatever theirs say.
 */
import { createHash, randomBytes } from 'node:crypto';
import { constants, type FSWatcher, watch as watchFolder } from 'node:fs';
import { link, lstat, mkdir, open, readdir, rename, unlink } from 'node:fs/promises';
import path from 'node:path';
import { EXIT, messageOf, WeftError } from '../../shared/errors.ts';
import { PEERS_MAX, STORE_VALUE_BYTES_MAX } from '../../shared/limits.ts';
import { LEASE_TTL_MS } from '../lease/acquire.ts';
import { parseKey } from '../lease/key.ts';
import type { ClockReading } from '../registry.ts';
import { FileClock } from './file-clock.ts';
import { ignoreMissing, takeLock } from './file-lock.ts';
import type { CreateResult, ReplaceResult, Snapshot, Store, StoredLease } from './store.ts';

const RELIST_MS = 1_000;
/** A list that takes long is made seldom: at most this share of the time goes into listing. */
const RELIST_SHARE = 0.02;
/** Files looked at side by side: node's file threads are four. */
const LIST_TOGETHER = 16;
/** A draft this old was left by a writer that died, or met a full disk. */
const DRAFT_STALE_MS = 60_000;
const DRAFT = '.draft-';

/** A lease as it was read, and what its files looked like then. */
interface Known {
  stamp: string;
  lease: StoredLease;
  /** by the files' clock; undefined for a permanent lease */
  endsAtMs: number | undefined;
}

/** One list in the making. */
interface Reading {
  /** the files' clock */
  nowMs: number;
  seen: Map<string, Known>;
  /** keys whose files could not be read */
  broken: string[];
}

export class FileStore implements Store {
  readonly name: string;
  private readonly folder: string;
  private readonly clock: FileClock;
  /** what the last list read, so that the next one reads only what changed */
  private known = new Map<string, Known>();

  constructor(folder: string) {
    this.folder = path.resolve(folder);
    this.name = `file:${this.folder}`;
    this.clock = new FileClock(() => this.writeDraft(''), unlink);
  }

  async readConfig(): Promise<string | undefined> {
    return this.guard(async () => readSmall(path.join(this.folder, 'config')));
  }

  async list(): Promise<Snapshot> {
    return this.guard(async () => {
      const names = (await this.keys()).filter((name) => parseKey(name)).sort();
      const reading: Reading = { nowMs: await this.clock.nowMs(), seen: new Map(), broken: [] };
      const leases: StoredLease[] = [];
      for (let at = 0; at < Math.min(names.length, PEERS_MAX); at += LIST_TOGETHER) {
        const some = names.slice(at, Math.min(at + LIST_TOGETHER, PEERS_MAX));
        const read = await Promise.all(some.map((name) => this.readOrKeep(name, reading)));
        leases.push(...read.filter((lease) => lease !== undefined));
      }
      this.known = reading.seen;
      const { broken } = reading;
      const said = [...leases.map(({ key, revision }) => `${key} ${revision}`), ...broken];
      return { leases, broken, revision: hash(said.join('\n')) };
    });
  }

  /** A folder without leases is an empty store; one that is missing itself is unavailable. */
  private async keys(): Promise<string[]> {
    try {
      return await readdir(this.subnets());
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      await mkdir(this.subnets());
      return [];
    }
  }

  /** One bad file costs only itself: a lease that could be read before stays as it was. */
  private async readOrKeep(key: string, reading: Reading): Promise<StoredLease | undefined> {
    try {
      return await this.readKnown(key, reading);
    } catch {
      reading.broken.push(key);
      const known = this.known.get(key);
      if (known) reading.seen.set(key, known);
      return known?.lease;
    }
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
    return this.guard(async () => (await this.read(key, await this.clock.nowMs()))?.expiresAtMs);
  }

  async create(key: string, value: string, ttlMs: number | undefined): Promise<CreateResult> {
    return this.locked(async (nowMs) => {
      if (await this.read(key, nowMs)) return 'exists';
      await unlink(this.keyFile(key)).catch(() => undefined); // an expired one
      await this.writeExpiry(key, ttlMs, nowMs);
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
    return this.locked(async (nowMs) => {
      const current = await this.read(key, nowMs);
      if (current?.revision !== revision) return { ok: false };
      await this.writeExpiry(key, ttlMs, nowMs);
      await rename(await this.writeDraft(value), this.keyFile(key));
      const written = await this.read(key, nowMs);
      return written ? { ok: true, revision: written.revision } : { ok: false };
    });
  }

  async delete(key: string, revision?: string): Promise<boolean> {
    return this.locked(async (nowMs) => {
      const current = await this.read(key, nowMs);
      if (current && revision !== undefined && current.revision !== revision) return false;
      await unlink(this.keyFile(key)).catch(ignoreMissing);
      await unlink(this.expiryFile(key)).catch(ignoreMissing);
      return true;
    });
  }

  async readClock(): Promise<ClockReading> {
    return { aheadMs: Math.round((await this.clock.nowMs()) - Date.now()), by: "the files' times" };
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

  /** The live lease at this time of the files' clock, or undefined: missing, expired, or no small regular file. */
  private async read(key: string, nowMs: number): Promise<StoredLease | undefined> {
    const value = await readSmall(this.keyFile(key));
    return value === undefined ? undefined : leaseOf(key, value, await this.endOf(key), nowMs);
  }

  /** By the files' clock; undefined for a permanent lease. What can't be read as a time ends a day after it was written. */
  private async endOf(key: string): Promise<number | undefined> {
    const file = this.expiryFile(key);
    const found = await lstat(file).catch(ignoreMissing);
    if (!found) return undefined;
    return parseExpiry((await readSmall(file)) ?? '') ?? found.mtimeMs + LEASE_TTL_MS;
  }

  /** As {@link read}, without reading files that look as they did when `known` was made. */
  private async readKnown(key: string, { nowMs, seen }: Reading): Promise<StoredLease | undefined> {
    const stamp = `${await stampOf(this.keyFile(key))} ${await stampOf(this.expiryFile(key))}`;
    const known = this.known.get(key);
    if (known?.stamp === stamp) {
      if (hasEnded(known.endsAtMs, nowMs)) return undefined;
      seen.set(key, known);
      return known.lease;
    }
    const value = await readSmall(this.keyFile(key));
    if (value === undefined) return undefined;
    const endsAtMs = await this.endOf(key);
    const lease = leaseOf(key, value, endsAtMs, nowMs);
    if (lease) seen.set(key, { stamp, lease, endsAtMs });
    return lease;
  }

  private async writeExpiry(key: string, ttlMs: number | undefined, nowMs: number): Promise<void> {
    if (ttlMs === undefined) {
      await unlink(this.expiryFile(key)).catch(ignoreMissing);
      return;
    }
    const text = JSON.stringify({ expiresAt: new Date(nowMs + ttlMs).toISOString() });
    await rename(await this.writeDraft(text), this.expiryFile(key));
  }

  private async writeDraft(text: string): Promise<string> {
    const draft = path.join(this.folder, `${DRAFT}${randomBytes(8).toString('hex')}`);
    const file = await open(draft, 'wx', 0o644);
    try {
      await file.writeFile(text);
      await file.sync();
    } catch (error) {
      await unlink(draft).catch(() => undefined); // a full disk
      throw error;
    } finally {
      await file.close();
    }
    return draft;
  }

  /** `work` is told the time by the files' clock. */
  private async locked<T>(work: (nowMs: number) => Promise<T>): Promise<T> {
    return this.guard(async () => {
      await mkdir(this.subnets(), { recursive: true });
      await mkdir(path.join(this.folder, 'leases'), { recursive: true });
      const { folder } = this;
      const unlock = await takeLock({ folder, writeDraft: (text) => this.writeDraft(text) });
      try {
        await this.clock.learnFrom(path.join(folder, '.lock'));
        const nowMs = await this.clock.nowMs();
        await this.removeOldDrafts(nowMs);
        return await work(nowMs);
      } finally {
        await unlock();
      }
    });
  }

  private async removeOldDrafts(nowMs: number): Promise<void> {
    for (const name of await readdir(this.folder)) {
      const file = path.join(this.folder, name);
      if (!name.startsWith(DRAFT)) continue;
      const found = await lstat(file).catch(ignoreMissing);
      if (found && nowMs - found.mtimeMs > DRAFT_STALE_MS) await unlink(file).catch(ignoreMissing);
    }
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

/** Times are the files', but for expiresAtMs: that is by our own clock, with which others compare it. undefined when it has ended. */
function leaseOf(
  key: string,
  value: string,
  endsAtMs: number | undefined,
  nowMs: number,
): StoredLease | undefined {
  if (endsAtMs === undefined) return { key, value, isPermanent: true, revision: hash(value) };
  if (hasEnded(endsAtMs, nowMs)) return undefined;
  const expiresAtMs = Math.round(endsAtMs - nowMs + Date.now());
  const revision = hash(`${value}\n${endsAtMs}`);
  return { key, value, isPermanent: false, expiresAtMs, revision };
}

function hasEnded(endsAtMs: number | undefined, nowMs: number): boolean {
  return endsAtMs !== undefined && endsAtMs <= nowMs;
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
