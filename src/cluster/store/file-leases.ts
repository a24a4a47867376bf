/**
 * The leases of a folder, as its files say, and as they said when they were last read: a file that looks the same is not read again.
 * Times are those of the clock that stamps the files (file-clock.ts).
 */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, mkdir, open, readdir } from 'node:fs/promises';
import path from 'node:path';
import { PEERS_MAX, STORE_VALUE_BYTES_MAX } from '../../shared/limits.ts';
import { LEASE_TTL_MS } from '../lease/acquire.ts';
import { parseKey } from '../lease/key.ts';
import { ignoreMissing } from './file-lock.ts';
import type { StoredLease } from './store.ts';

/** Files looked at side by side: node's file threads are four. */
export const TOGETHER = 16;

/** A lease as it was read, and what its files looked like then. */
interface Known {
  stamp: string;
  lease: StoredLease;
  /** by the files' clock; undefined for a permanent lease */
  endsAtMs: number | undefined;
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
    if (!parseKey(key)) throw new Error(`store: "${key}" is no lease key`);
    return path.join(this.subnets, key);
  }

  expiry(key: string): string {
    return path.join(this.leases, key);
  }

  /** The live lease at this time of the files' clock, or undefined: missing, expired, or no small regular file. */
  async read(key: string, nowMs: number): Promise<StoredLease | undefined> {
    const value = await readSmall(this.value(key));
    return value === undefined ? undefined : storedOf(key, value, await this.endOf(key), nowMs);
  }

  /** By the files' clock; undefined for a permanent lease. What can't be read as a time ends a day after it was written. */
  async endOf(key: string): Promise<number | undefined> {
    const file = this.expiry(key);
    const endsAtMs = parseExpiry((await readSmall(file)) ?? '');
    if (endsAtMs !== undefined) return endsAtMs;
    const found = await lstat(file).catch(ignoreMissing);
    return found && found.mtimeMs + LEASE_TTL_MS;
  }

  async stampOf(key: string): Promise<string> {
    return `${await stampOf(this.value(key))} ${await stampOf(this.expiry(key))}`;
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
    return this.readSome(await this.allKeys(), nowMs);
  }

  /** Those that have files, and those that are known to have had some. Throws as {@link readAll}. */
  async allKeys(): Promise<string[]> {
    const names = (await this.names()).filter((name) => parseKey(name)).sort();
    const keys = new Set(names.slice(0, PEERS_MAX));
    const gone = [...this.known.keys(), ...this.unread].filter((key) => !keys.has(key));
    return [...gone, ...keys];
  }

  /** Looks at the files of these keys only. */
  async readSome(keys: readonly string[], nowMs: number): Promise<FileChanges> {
    const changes: FileChanges = new Map();
    for (let at = 0; at < keys.length; at += TOGETHER) {
      const some = keys.slice(at, at + TOGETHER);
      await Promise.all(some.map((key) => this.readOrKeep(key, nowMs, changes)));
    }
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

  /** One bad file costs only itself: a lease that could be read before stays as it was. */
  private async readOrKeep(key: string, nowMs: number, changes: FileChanges): Promise<void> {
    try {
      await this.read(key, nowMs, changes);
      this.unread.delete(key);
    } catch {
      this.unread.add(key);
    }
  }

  private async read(key: string, nowMs: number, changes: FileChanges): Promise<void> {
    const stamp = await this.places.stampOf(key);
    const known = this.known.get(key);
    if (known?.stamp === stamp) {
      if (hasEnded(known.endsAtMs, nowMs)) this.forget(key, changes);
      return;
    }
    const value = await readSmall(this.places.value(key));
    const endsAtMs = value === undefined ? undefined : await this.places.endOf(key);
    const lease = value === undefined ? undefined : storedOf(key, value, endsAtMs, nowMs);
    if (!lease) return this.forget(key, changes);
    this.known.set(key, { stamp, lease, endsAtMs });
    changes.set(key, lease);
  }

  private forget(key: string, changes: FileChanges): void {
    if (this.known.delete(key)) changes.set(key, undefined);
  }
}

/** Text of a small regular file; undefined if there is none (links and devices are not followed). */
export async function readSmall(file: string): Promise<string | undefined> {
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
