/**
 * The leases of a folder, as its files say, and as they said when they were last read: a file that looks the same is not read again.
 * Times are those of the clock that stamps the files (file-clock.ts).
 */
import { createHash } from 'node:crypto';
import { lstat, mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import { PEERS_MAX } from '../../shared/limits.ts';
import { LEASE_TTL_MS } from '../lease/acquire.ts';
import { parseKey } from '../lease/key.ts';
import { ignoreMissing } from './file-lock.ts';
import { foundIn, type Looked, lookAt, type SmallFile } from './small-files.ts';
import type { StoredLease } from './store.ts';

/** Leases looked at in one piece of work: on a network file system each file is a round trip, one after the other. */
export const TOGETHER = 16;
/** Node's file threads. */
const SIDE_BY_SIDE = 4;

/** A lease as it was read, and what its files looked like then. */
interface Known {
  stamp: string;
  lease: StoredLease;
  /** by the files' clock; undefined for a permanent lease */
  endsAtMs: number | undefined;
}

/** The files of a lease; undefined where there is none. */
interface Files {
  value: SmallFile | undefined;
  expiry: SmallFile | undefined;
}

/** By key; undefined: gone. */
export type FileChanges = Map<string, StoredLease | undefined>;

/** Where a lease has its two files. */
export class LeasePlaces {
  readonly config: string;
  readonly subnets: string;
  readonly leases: string;

  constructor(folder: string) {
    this.config = path.join(folder, 'config');
    this.subnets = path.join(folder, 'subnets');
    this.leases = path.join(folder, 'leases');
  }

  value(key: string): string {
    if (!parseKey(key)) throw new Error(`store: "${key}" is not a lease key`);
    return path.join(this.subnets, key);
  }

  expiry(key: string): string {
    return path.join(this.leases, key);
  }

  /** The live lease at this time of the files' clock, or undefined: missing, expired, or no small regular file. */
  async read(key: string, nowMs: number): Promise<StoredLease | undefined> {
    const [filesOf] = await this.look([key], 'with text');
    return filesOf && leaseIn(key, filesOf(), nowMs)?.lease;
  }

  /** For each key a function that returns its files, or throws what the file system said of them. */
  async look(
    keys: readonly string[],
    read: 'with text' | 'without text',
  ): Promise<(() => Files)[]> {
    const files = keys.flatMap((key) => [this.value(key), this.expiry(key)]);
    const looked = await lookAt(files, read);
    return keys.map((_, i) => () => {
      const value = foundIn(looked[2 * i] as Looked);
      // Without a lease nobody minds what its second file is.
      return { value, expiry: value && foundIn(looked[2 * i + 1] as Looked) };
    });
  }
}

export class LeaseFiles {
  private readonly places: LeasePlaces;
  private readonly known = new Map<string, Known>();
  /** keys whose files could not be read */
  private readonly unread = new Set<string>();

  constructor(places: LeasePlaces) {
    this.places = places;
  }

  /** In the order of their keys. */
  get leases(): StoredLease[] {
    const order = (a: StoredLease, b: StoredLease): number => (a.key < b.key ? -1 : 1);
    return [...this.known.values()].map(({ lease }) => lease).sort(order);
  }

  get broken(): string[] {
    return [...this.unread].sort();
  }

  /** Looks at all files. Throws where the folder can't be read. */
  async readAll(nowMs: number): Promise<FileChanges> {
    const changes = this.endBy(nowMs);
    const keys = await this.allKeys();
    await inBatches(keys, (batch) => this.checkInto(changes, batch, nowMs));
    return changes;
  }

  /** Those that have files, and those that are known to have had some. Throws as {@link readAll}. */
  async allKeys(): Promise<string[]> {
    const names = (await this.names()).filter((name) => parseKey(name)).sort();
    const keys = new Set(names.slice(0, PEERS_MAX));
    const gone = [...this.known.keys(), ...this.unread].filter((key) => !keys.has(key));
    return [...gone, ...keys];
  }

  /** Reads the files of these keys, which are said to have changed. */
  async readSome(keys: readonly string[], nowMs: number): Promise<FileChanges> {
    const changes: FileChanges = new Map();
    await inBatches(keys, (batch) => this.readInto(changes, batch, nowMs));
    return changes;
  }

  /** Looks at the files of these keys, and reads those that look different. */
  async checkSome(keys: readonly string[], nowMs: number): Promise<FileChanges> {
    const changes: FileChanges = new Map();
    await this.checkInto(changes, keys, nowMs);
    return changes;
  }

  /** What has ended by now, without a look at any file. */
  endBy(nowMs: number): FileChanges {
    const changes: FileChanges = new Map();
    for (const [key, { endsAtMs }] of this.known)
      if (hasEnded(endsAtMs, nowMs)) this.forget(key, changes);
    return changes;
  }

  /** A folder without leases is an empty store; one that is missing itself is unavailable. */
  private async names(): Promise<string[]> {
    const names = await readdir(this.places.subnets).catch(ignoreMissing);
    // All leases are gone, and the config with them: what is seen lies below a store that is not mounted any more.
    if (this.known.size > 0 && !names?.length) await lstat(this.places.config);
    if (names) return names;
    await mkdir(this.places.subnets);
    return [];
  }

  private async checkInto(
    changes: FileChanges,
    keys: readonly string[],
    nowMs: number,
  ): Promise<void> {
    const old = keys.filter((key) => this.known.has(key) && !this.unread.has(key));
    const looks = await this.places.look(old, 'without text');
    const same = new Set(old.filter((key, i) => this.looksTheSame(key, looks[i])));
    const other = keys.filter((key) => !same.has(key));
    await this.readInto(changes, other, nowMs);
  }

  private looksTheSame(key: string, filesOf: (() => Files) | undefined): boolean {
    try {
      return filesOf !== undefined && this.known.get(key)?.stamp === stampOf(filesOf());
    } catch {
      return false; // the reader meets what it is
    }
  }

  private async readInto(
    changes: FileChanges,
    keys: readonly string[],
    nowMs: number,
  ): Promise<void> {
    if (keys.length === 0) return;
    const looks = await this.places.look(keys, 'with text');
    for (const [i, filesOf] of looks.entries())
      this.takeOrKeep(keys[i] as string, filesOf, nowMs, changes);
  }

  /** One bad file costs only itself: a lease that could be read before stays as it was. */
  private takeOrKeep(key: string, filesOf: () => Files, nowMs: number, changes: FileChanges): void {
    try {
      this.take(key, filesOf(), nowMs, changes);
      this.unread.delete(key);
    } catch {
      this.unread.add(key);
    }
  }

  private take(key: string, files: Files, nowMs: number, changes: FileChanges): void {
    const stamp = stampOf(files);
    const known = this.known.get(key);
    if (known?.stamp === stamp && !hasEnded(known.endsAtMs, nowMs)) return;
    const found = leaseIn(key, files, nowMs);
    if (found) {
      this.known.set(key, { stamp, ...found });
      changes.set(key, found.lease);
    } else this.forget(key, changes);
  }

  private forget(key: string, changes: FileChanges): void {
    if (this.known.delete(key)) changes.set(key, undefined);
  }
}

/** A piece of work for each {@link TOGETHER}, some at a time: one for all would hold a file thread for long, and much memory. */
async function inBatches(
  keys: readonly string[],
  work: (batch: readonly string[]) => Promise<void>,
): Promise<void> {
  const batches = Array.from({ length: Math.ceil(keys.length / TOGETHER) }, (_, i) =>
    keys.slice(i * TOGETHER, (i + 1) * TOGETHER),
  ).values();
  const worker = async (): Promise<void> => {
    for (const batch of batches) await work(batch);
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, worker));
}

/** Changes whenever one of its files does. */
function stampOf({ value, expiry }: Files): string {
  return `${value?.stamp ?? '-'} ${expiry?.stamp ?? '-'}`;
}

/** By the files' clock; undefined for a permanent lease. What can't be read as a time ends a day after it was written. */
function endOf(expiry: SmallFile | undefined): number | undefined {
  return expiry && (parseExpiry(expiry.text ?? '') ?? expiry.modifiedMs + LEASE_TTL_MS);
}

function leaseIn(
  key: string,
  { value, expiry }: Files,
  nowMs: number,
): Omit<Known, 'stamp'> | undefined {
  if (value?.text === undefined) return undefined;
  const endsAtMs = endOf(expiry);
  const lease = storedOf(key, value.text, endsAtMs, nowMs);
  return lease && { lease, endsAtMs };
}

/** Times are the files', but for expiresAtMs: that is by our own clock, with which others compare it. undefined when it has ended. */
function storedOf(
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
