/** The workers' clock word (CLOCK_MONOTONIC in ms, 32 bits) in terms of the calendar. */

/** What the clock word would be now. */
function clockWord(): number {
  return Number(BigInt.asIntN(32, process.hrtime.bigint() / 1_000_000n));
}

/** Gives milliseconds since the epoch for clock words up to 24 days from now. */
export function wallClock(): (word: number) => number {
  const nowMs = Date.now();
  const now = clockWord();
  return (word) => nowMs + ((word - now) | 0);
}
