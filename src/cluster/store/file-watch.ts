/**
 * Which lease files changed. The kernel says names (inotify), and only these are looked at; but it says nothing of what other machines do
 * in a shared folder, and may lose count, so all are looked at now and then, too. Two folders that are others now are watched anew.
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
/** Each tick goes on with the round through all files for so long: that many files cost a small share of the time, and take many ticks. */
const ROUND_MS = 20;
/** Names that are remembered until the next look; more are a reason to look at all files. */
const NAMES_MAX = 4_096;

/** A folder that is watched. */
interface Ear {
  folder: string;
  /** which folder it was */
  identity: string;
  watcher: FSWatcher | undefined;
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
  private roundAtMs = Number.NEGATIVE_INFINITY;
  private lookedAtMs = Number.NEGATIVE_INFINITY;
  private wake = (): void => undefined;

  /** `nowMs`: the files' clock. */
  constructor(places: LeasePlaces, nowMs: () => Promise<number>) {
    this.files = new LeaseFiles(places);
    this.nowMs = nowMs;
    this.ears = [places.subnets, places.leases].map((folder) => ({
      folder,
      identity: '',
      watcher: undefined,
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

  /** Before anything is read: what changes behind that is heard. */
  private async read(): Promise<FileChanges> {
    for (const ear of this.ears) await this.listen(ear);
    const nowMs = await this.nowMs();
    const names = [...this.names];
    this.names.clear();
    if (this.isDoubtful) {
      this.isDoubtful = false;
      this.round = [];
      return this.files.readAll(nowMs);
    }
    const parts = [await this.files.readSome(names, nowMs), this.files.endBy(nowMs)];
    if (performance.now() - this.roundAtMs >= TICK_MS) parts.push(...(await this.goRound(nowMs)));
    return new Map(parts.flatMap((part) => [...part]));
  }

  private async goRound(nowMs: number): Promise<FileChanges[]> {
    this.roundAtMs = performance.now();
    if (this.round.length === 0) this.round = (await this.files.allKeys()).reverse();
    const found: FileChanges[] = [];
    while (this.round.length > 0 && performance.now() - this.roundAtMs < ROUND_MS)
      found.push(await this.files.readSome(this.round.splice(-TOGETHER), nowMs));
    return found;
  }

  /** Where the folder is another one than before, all of it is looked at. */
  private async listen(ear: Ear): Promise<void> {
    const found = await lstat(ear.folder, { bigint: true }).catch(ignoreMissing);
    const identity = found ? `${found.dev} ${found.ino}` : '';
    if (identity === ear.identity && (ear.watcher || identity === '')) return;
    if (identity !== ear.identity) this.isDoubtful = true;
    ear.watcher?.close();
    ear.watcher = undefined;
    ear.identity = identity;
    if (identity === '') return;
    try {
      const watcher = watchFolder(ear.folder, (_event, name) => this.hear(name));
      watcher.on('error', () => {
        watcher.close();
        if (ear.watcher === watcher) ear.watcher = undefined;
      });
      ear.watcher = watcher;
    } catch {
      // The folder is away again, or the kernel has no watch left: the looks at all files remain.
    }
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
