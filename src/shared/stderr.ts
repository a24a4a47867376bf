/** Standard error, written at once: what was said before an end is there, whatever reads it. */
import { fstatSync, writeSync } from 'node:fs';

const STDERR = 2;
/** A pipe that somebody made non-blocking and that is full is tried again for so long. */
const FULL_MS_MAX = 1_000;
const FULL_WAIT_MS = 5;

/** Returns when everything is written. What nobody reads any more is dropped: a log without a reader ends no daemon. */
export function writeStderr(text: string): void {
  let rest: Uint8Array = Buffer.from(text);
  const untilMs = performance.now() + FULL_MS_MAX;
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(STDERR, rest));
    } catch (error) {
      const isFull = (error as NodeJS.ErrnoException).code === 'EAGAIN';
      if (!isFull || performance.now() > untilMs) return;
      pause(FULL_WAIT_MS);
    }
  }
}

/** Whether the journal reads it: JOURNAL_STREAM names the device and inode of the stream that systemd connected. */
export function isJournal(environment: NodeJS.ProcessEnv = process.env): boolean {
  const stream = environment['JOURNAL_STREAM'];
  if (!stream) return false;
  try {
    const { dev, ino } = fstatSync(STDERR);
    return stream === `${dev}:${ino}`;
  } catch {
    return false; // standard error is closed
  }
}

function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
