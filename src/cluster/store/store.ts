/**
 * What weft needs of a shared store, whatever keeps it. Keys and values are flannel's, to the byte
 * (flannel pkg/subnet: `<prefix>/config`, `<prefix>/subnets/<key>`).
 */

import type { ClockReading } from '../registry.ts';

/** One lease key as it is stored. `value` is untrusted text. */
export interface StoredLease {
  /** "10.5.52.0-24" or "10.5.52.0-24&fd00::-64" */
  key: string;
  value: string;
  /** without an end: a reservation */
  isPermanent: boolean;
  /** when the store will drop it, ms since the epoch, where a list tells (see {@link Store.expiry}) */
  expiresAtMs?: number;
  /** changes whenever the value changes; compare with {@link Store.replace} */
  revision: string;
}

export interface Snapshot {
  /** of a watch's snapshot perhaps only made when somebody asks, and then of that moment */
  readonly leases: readonly StoredLease[];
  /** what differs from the watch's snapshot before this one, by key; undefined: gone. Absent: anything may differ */
  changes?: ReadonlyMap<string, StoredLease | undefined>;
  /** keys that could not be read now; those that were known stay among the leases */
  broken?: readonly string[];
}

export type CreateResult = 'created' | 'exists';
export type ReplaceResult = { ok: true; revision: string } | { ok: false };

/**
 * All calls have their own time-out and throw a WeftError with code ERR_STORE_UNAVAILABLE when the store is away, or
 * ERR_STORE_REFUSED when it won't let us. A lease that did not change is the same object in every snapshot of a watch.
 */
export interface Store {
  /** Where it is, for logs (no secrets). */
  readonly name: string;
  /** Where the network config belongs, for messages. */
  readonly configPlace: string;
  /** Text of the network config; undefined when there is none yet. */
  readConfig(): Promise<string | undefined>;
  /** All leases that have not expired, junk included (the caller parses and skips it). */
  list(): Promise<Snapshot>;
  /**
   * Calls back after each change with a fresh snapshot, and with the error while the store is away (then again with a
   * snapshot). The first one, and the first after an error, is a whole list without `changes`. Returns when `signal` aborts.
   */
  watch(
    onSnapshot: (snapshot: Snapshot) => void,
    onError: (error: Error) => void,
    signal: AbortSignal,
  ): void;
  /** When the store will drop the key, ms since the epoch; undefined if it is permanent or not there. */
  expiry(key: string): Promise<number | undefined>;
  /** Writes the key if no live one exists. ttlMs undefined = permanent. */
  create(key: string, value: string, ttlMs: number | undefined): Promise<CreateResult>;
  /** Writes value and a fresh ttl if the key still has this revision. */
  replace(
    key: string,
    value: string,
    ttlMs: number | undefined,
    revision: string,
  ): Promise<ReplaceResult>;
  /** Removes the key if it still has this revision (any if undefined); true when it is gone. */
  delete(key: string, revision?: string): Promise<boolean>;
  /** The clock by which keys end; a text where it can't be read. */
  readClock(): Promise<ClockReading | string>;
  close(): Promise<void>;
}
