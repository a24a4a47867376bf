/** CLOCK_MONOTONIC in ms: the one clock that all processes of a soak share, and that nobody moves. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
