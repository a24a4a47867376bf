/** Waiting for what must happen: the limit only bounds a failing test. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

const LOOK_MS_MAX = 50;

/** Looks again until it holds: at first at once, then less and less often. `what` may be asked at the end for what there was instead. */
export async function until(
  what: string | (() => Promise<string>),
  holds: () => boolean | Promise<boolean>,
  limitMs = 60_000,
): Promise<void> {
  const deadline = Date.now() + limitMs;
  for (let waitMs = 1; Date.now() < deadline; waitMs = Math.min(2 * waitMs, LOOK_MS_MAX)) {
    if (await holds()) return;
    await sleep(waitMs);
  }
  assert.fail(`never: ${typeof what === 'string' ? what : await what()}`);
}
