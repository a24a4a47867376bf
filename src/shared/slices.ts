/** Long work on many things, in slices: between them the event loop does what else is due, so that health is answered and changes go on. */
import { setImmediate as nextTurn } from 'node:timers/promises';

/** About some milliseconds of the work that it is used for. */
const SLICE = 500;

/** Calls `work` with each, in order. */
export async function inSlices<T>(all: readonly T[], work: (one: T) => void): Promise<void> {
  for await (const slice of slicesOf(all)) for (const one of slice) work(one);
}

/** All of them, some at a time. */
export async function* slicesOf<T>(all: readonly T[]): AsyncGenerator<readonly T[]> {
  for (let at = 0; at < all.length; at += SLICE) {
    yield all.slice(at, at + SLICE);
    if (at + SLICE < all.length) await nextTurn();
  }
}
