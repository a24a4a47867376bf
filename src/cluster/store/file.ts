/**
 * The file store: one directory with flannel's key names and value bytes.
 *   <dir>/config              network config JSON
 *   <dir>/subnets/<key>       a lease; written by hand it is a permanent one
 *   <dir>/leases/<key>        {"expiresAt":"RFC 3339"}: written before the key, so that no key looks permanent by accident
 * Writers hold <dir>/.lock for a moment (file-lock.ts). Times are those of the clock that stamps the files (file-clock.ts): of a
 * shared folder it is the same for all nodes, whatever theirs say.
 */
import { randomBytes } from 'node:crypto';
import { link, lstat, mkdir, open, readdir, rename, unlink } from 'node:fs/promises';
import path from 'node:path';
import { EXIT, messageOf, WeftError } from '../../shared/errors.ts';
import type { ClockReading } from '../registry.ts';
import { FileClock } from './file-clock.ts';
import { LeaseFiles, LeasePlaces } from './file-leases.ts';
import { ignoreMissing, takeLock } from './file-lock.ts';
import { FileWatch } from './file-watch.ts';
import { readSmall } from './small-files.ts';
import type { CreateResult, ReplaceResult, Snapshot, Store } from './store.ts';

/** A draft this old was left by a writer that died, or met a full disk. */
const DRAFT_STALE_MS = 60_000;
const DRAFT = '.draft-';

export class FileStore implements Store {
  readonly name: string;
  private readonly folder: string;
  private readonly clock: FileClock;
  private readonly places: LeasePlaces;
  /** what the last list read, so that the next one reads only what changed */
  private readonly listed: LeaseFiles;

  constructor(folder: string) {
    this.folder = path.resolve(folder);
    this.name = `file:${this.folder}`;
    this.clock = new FileClock(() => this.writeDraft(''), unlink);
    this.places = new LeasePlaces(this.folder);
    this.listed = new LeaseFiles(this.places);
  }

  async readConfig(): Promise<string | undefined> {
    return this.guard(async () => readSmall(this.places.config));
  }

  async list(): Promise<Snapshot> {
    return this.guard(async () => {
      await this.listed.readAll(await this.clock.nowMs());
      const { leases, broken } = this.listed;
      return { leases, broken };
    });
  }

  watch(
    onSnapshot: (snapshot: Snapshot) => void,
    onError: (error: Error) => void,
    signal: AbortSignal,
  ): void {
    const watch = new FileWatch(this.places, () => this.clock.nowMs());
    void this.watchLoop(watch, onSnapshot, onError, signal);
  }

  private async watchLoop(
    watch: FileWatch,
    onSnapshot: (snapshot: Snapshot) => void,
    onError: (error: Error) => void,
    signal: AbortSignal,
  ): Promise<void> {
    while (!signal.aborted) {
      try {
        const snapshot = await this.guard(() => watch.look());
        if (snapshot && !signal.aborted) onSnapshot(snapshot);
      } catch (error) {
        if (!signal.aborted) onError(error as Error);
      }
      await watch.changeOrTimeout(signal);
    }
    watch.close();
  }

  get configPlace(): string {
    return this.places.config;
  }

  async expiry(key: string): Promise<number | undefined> {
    return this.guard(
      async () => (await this.places.read(key, await this.clock.nowMs()))?.expiresAtMs,
    );
  }

  async create(key: string, value: string, ttlMs: number | undefined): Promise<CreateResult> {
    return this.locked(async (nowMs) => {
      if (await this.places.read(key, nowMs)) return 'exists';
      await unlink(this.places.value(key)).catch(() => undefined); // an expired one
      await this.writeExpiry(key, ttlMs, nowMs);
      const draft = await this.writeDraft(value);
      try {
        await link(draft, this.places.value(key));
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
      const current = await this.places.read(key, nowMs);
      if (current?.revision !== revision) return { ok: false };
      await this.writeExpiry(key, ttlMs, nowMs);
      await rename(await this.writeDraft(value), this.places.value(key));
      const written = await this.places.read(key, nowMs);
      return written ? { ok: true, revision: written.revision } : { ok: false };
    });
  }

  async delete(key: string, revision?: string): Promise<boolean> {
    return this.locked(async (nowMs) => {
      const current = await this.places.read(key, nowMs);
      if (current && revision !== undefined && current.revision !== revision) return false;
      await unlink(this.places.value(key)).catch(ignoreMissing);
      await unlink(this.places.expiry(key)).catch(ignoreMissing);
      return true;
    });
  }

  async readClock(): Promise<ClockReading> {
    return { aheadMs: Math.round((await this.clock.nowMs()) - Date.now()), by: "the files' times" };
  }

  async close(): Promise<void> {
    // nothing is held open between calls
  }

  private async writeExpiry(key: string, ttlMs: number | undefined, nowMs: number): Promise<void> {
    if (ttlMs === undefined) {
      await unlink(this.places.expiry(key)).catch(ignoreMissing);
      return;
    }
    const text = JSON.stringify({ expiresAt: new Date(nowMs + ttlMs).toISOString() });
    await rename(await this.writeDraft(text), this.places.expiry(key));
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
      await mkdir(this.places.subnets, { recursive: true });
      await mkdir(this.places.leases, { recursive: true });
      const { folder } = this;
      for (;;) {
        const lock = await takeLock({ folder, writeDraft: (text) => this.writeDraft(text) });
        try {
          await this.clock.learnFrom(path.join(folder, '.lock')).catch(ignoreMissing);
          const nowMs = await this.clock.nowMs();
          await this.removeOldDrafts(nowMs);
          if (await lock.isHeld()) return await work(nowMs);
        } finally {
          await lock.end();
        }
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
