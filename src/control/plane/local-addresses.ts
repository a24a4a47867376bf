/** This host's addresses → the memory that workers copy (contract and layout: memory/local-addresses.ts). */
import { LOCAL, LOCAL_ADDRESSES_BYTES, LOCAL_ENTRY_SHIFT } from '../../memory/local-addresses.ts';
import { hashWords } from '../../memory/table.ts';
import { sameWords, type Words } from '../../shared/address.ts';
import { LOCAL_ADDRESSES_MAX } from '../../shared/limits.ts';
import { type PlainLog, rarely } from '../../shared/repeats.ts';

const EMPTY: Words = [0, 0, 0, 0];

/** The one writer of its memory. */
export class LocalAddressTable {
  readonly memory = new SharedArrayBuffer(LOCAL_ADDRESSES_BYTES);
  private readonly rare: PlainLog;
  private ofLinks: readonly Words[] = [];
  private ofHost: readonly Words[] = [];
  private published: readonly Words[] = [];

  constructor(log: PlainLog) {
    this.rare = rarely(log);
  }

  /** Those of the overlay's own devices and sockets: in force before the host has them. */
  setLinks(addresses: readonly Words[]): void {
    this.ofLinks = addresses;
    this.publish();
  }

  /** Those that were found on the host. */
  setHost(addresses: readonly Words[]): void {
    this.ofHost = addresses;
    this.publish();
  }

  /** What is the same as before costs workers nothing. */
  private publish(): void {
    const all = [...this.ofLinks, ...this.ofHost];
    const fitting = all.slice(0, LOCAL_ADDRESSES_MAX);
    if (fitting.length < all.length)
      this.rare.warn(
        `this host has ${all.length} addresses: peers' packets are compared with the first ${fitting.length} only`,
      );
    if (isSame(fitting, this.published)) return;
    fillLocalAddresses(new Int32Array(this.memory), fitting);
    this.published = fitting;
  }
}

/** These are all of them now; one may be given twice. Exported for tests and benchmarks. */
export function fillLocalAddresses(shared: Int32Array, addresses: readonly Words[]): void {
  const capacity = 2 ** Math.ceil(Math.log2(Math.max(2, addresses.length * 2)));
  Atomics.add(shared, LOCAL.sequence, 1);
  Atomics.store(shared, LOCAL.mask, capacity - 1);
  for (let i = 0; i < capacity << LOCAL_ENTRY_SHIFT; i++)
    Atomics.store(shared, LOCAL.entries + i, 0);
  for (const address of addresses) insert(shared, address, capacity - 1);
  Atomics.add(shared, LOCAL.sequence, 1);
}

function insert(shared: Int32Array, address: Words, mask: number): void {
  for (let slot = hashWords(0, ...address) & mask; ; slot = (slot + 1) & mask) {
    const at = LOCAL.entries + (slot << LOCAL_ENTRY_SHIFT);
    const present = shared.subarray(at, at + 4) as unknown as Words;
    if (sameWords(present, address)) return;
    if (!sameWords(present, EMPTY)) continue;
    address.forEach((word, i) => {
      Atomics.store(shared, at + i, word);
    });
    return;
  }
}

function isSame(a: readonly Words[], b: readonly Words[]): boolean {
  return a.length === b.length && a.every((words, i) => sameWords(words, b[i] as Words));
}
