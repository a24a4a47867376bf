/**
 * Which lease files changed. The kernel says names (inotify), and only these are looked at. But it says nothing of what other machines do
 * in a shared folder, and may lose count: a slow round goes through all files again and again, and a faster one when a folder shows a
 * change of which nothing was heard. A folder that is another one now is watched anew, and all of it is looked at.
 */
import { type FSWatcher, watch as watchFolder } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { parseKey } from '../lease/key.ts';
import { type FileChanges, LeaseFiles, type LeasePlaces, TOGETHER } from './file-leases.ts';
import { ignoreMissing } from './file-lock.ts';
import type { Snapshot } from './store.ts';

/** Leases end without a word of the files, and folders may be replaced. */
const TICK_MS = 1_000;
/** After a name was said: a lease has two files, which are written one after the other. */
const SETTLE_MS = 5;
/** Looks that follow each other in a stream of names. */
const GAP_MS = 100;
/** Each tick goes on with the round through all files for so long: many files cost a small share of the time, and take many ticks. */
const SLOW_MS = 1;
const FAST_MS = 20;
/** Names that are remembered until the next look; more are a reason to look at all files. */
const NAMES_MAX = 4_096;

/** A folder that is watched. */
interface Ear {
  folder: string;
  /** which folder it was, and when an entry last came or went */
  identity: string;
  changedAt: bigint;
  watcher: FSWatcher | undefined;
  /** something was heard since the last tick */
  hasHeard: boolean;
  /** it had changed at the last tick, and nothing had been heard */
  isSuspect: boolean;
}

export class FileWatch {
  private readonly files: LeaseFiles;
  private readonly nowMs: () => Promise<number>;
  private readonly ears: readonly Ear[];
  private readonly names = new Set<string>();
  /** nothing was delivered yet, or not since something failed */
  private isFresh = true;
  private saidBroken = '';
  /** what is known is in doubt: all files are looked at at once */
  private isDoubtful = true;
  /** keys that this round still has to look at, the next one last */
  private round: string[] = [];
  private isFast = false;
  /** what this round went past may have changed unheard: the next one is fast, too */
  private isNextFast = false;
  private tickedAtMs = Number.NEGATIVE_INFINITY;
  private lookedAtMs = Number.NEGATIVE_INFINITY;
  private wake = (): void => undefined;

  /** `nowMs`: the files' clock. */
  constructor(places: LeasePlaces, nowMs: () => Promise<number>) {
    this.files = new LeaseFiles(places);
    this.nowMs = nowMs;
    this.ears = [places.subnets, places.leases].map((folder) => ({
      folder,
      identity: '',
      changedAt: 0n,
      watcher: undefined,
      hasHeard: false,
      isSuspect: false,
    }));
  }

  /** What changed since the last look; undefined if nothing did. Throws what the file system says. */
  async look(): Promise<Snapshot | undefined> {
    try {
      const changes = await this.read();
      const broken = this.files.broken;
      const isOther = this.isFresh || changes.size > 0 || broken.join() !== this.saidBroken;
      this.saidBroken = broken.join();
      if (!isOther) return undefined;
      const { files, isFresh } = this;
      this.isFresh = false;
      const snapshot = {
        get leases() {
          return files.leases;
        },
        broken,
      };
      return isFresh ? snapshot : Object.assign(snapshot, { changes });
    } catch (error) {
      this.isFresh = true;
      this.isDoubtful = true;
      throw error;
    } finally {
      this.lookedAtMs = performance.now();
    }
  }

  private async read(): Promise<FileChanges> {
    const isTick = this.isDoubtful || performance.now() - this.tickedAtMs >= TICK_MS;
    // Before anything is read: what changes behind that is heard.
    if (isTick) for (const ear of this.ears) await this.listen(ear);
    if (isTick) this.tickedAtMs = performance.now();
    const nowMs = await this.nowMs();
    const names = [...this.names];
    this.names.clear();
    if (this.isDoubtful) {
      this.isDoubtful = false;
      this.round = [];
      return this.files.readAll(nowMs);
    }
    const parts = [await this.files.readSome(names, nowMs)];
    if (isTick) parts.push(this.files.endBy(nowMs), ...(await this.goRound(nowMs)));
    return new Map(parts.flatMap((part) => [...part]));
  }

  private async goRound(nowMs: number): Promise<FileChanges[]> {
    if (this.round.length === 0 || (this.isNextFast && !this.isFast)) {
      this.round = (await this.files.allKeys()).reverse();
      this.isFast = this.isNextFast;
      this.isNextFast = false;
    }
    const untilMs = performance.now() + (this.isFast ? FAST_MS : SLOW_MS);
    const found: FileChanges[] = [];
    while (this.round.length > 0 && performance.now() < untilMs)
      found.push(await this.files.checkSome(this.round.splice(-TOGETHER), nowMs));
    return found;
  }

  /** Where the folder is another one than before, all of it is looked at. */
  private async listen(ear: Ear): Promise<void> {
    const found = await lstat(ear.folder, { bigint: true }).catch(ignoreMissing);
    const identity = found ? `${found.dev} ${found.ino}` : '';
    this.judge(ear, found?.mtimeNs ?? 0n);
    if (identity === ear.identity && (ear.watcher || identity === '')) return;
    if (identity !== ear.identity) this.isDoubtful = true;
    ear.watcher?.close();
    ear.watcher = undefined;
    ear.identity = identity;
    if (identity === '') return;
    try {
      const watcher = watchFolder(ear.folder, (_event, name) => {
        ear.hasHeard = true;
        this.hear(name);
      });
      watcher.on('error', () => {
        watcher.close();
        if (ear.watcher === watcher) ear.watcher = undefined;
      });
      ear.watcher = watcher;
    } catch {
      // The folder is away again, or the kernel has no watch left: the looks at all files remain.
    }
  }

  /** What was heard may come a moment behind what is seen: a change is unheard when it still is at the next tick. */
  private judge(ear: Ear, changedAt: bigint): void {
    if (ear.isSuspect && !ear.hasHeard) this.isNextFast = true;
    ear.isSuspect = changedAt !== ear.changedAt && !ear.hasHeard;
    ear.changedAt = changedAt;
    ear.hasHeard = false;
  }

  private hear(name: string | null): void {
    if (name === null || this.names.size >= NAMES_MAX) this.isDoubtful = true;
    else if (parseKey(name)) this.names.add(name);
    this.wake();
  }

  /** Until it is time for the next look. */
  async changeOrTimeout(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      let soon: NodeJS.Timeout | undefined;
      const done = (): void => {
        clearTimeout(timer);
        clearTimeout(soon);
        this.wake = () => undefined;
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.wake = () => {
        const restMs = this.lookedAtMs + GAP_MS - performance.now();
        soon ??= setTimeout(done, Math.max(SETTLE_MS, restMs));
      };
      const timer = setTimeout(done, TICK_MS);
      signal.addEventListener('abort', done);
      if (this.names.size > 0 || this.isDoubtful) this.wake();
    });
  }

  close(): void {
    for (const { watcher } of this.ears) watcher?.close();
  }
}
