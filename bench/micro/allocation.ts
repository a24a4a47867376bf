/** How much JavaScript heap some work takes: growth of the heap plus what the collector freed meanwhile. */
import { GCProfiler } from 'node:v8';

export function heapBytesOf(work: () => void): number {
  const profiler = new GCProfiler();
  profiler.start();
  const before = process.memoryUsage().heapUsed;
  work();
  const after = process.memoryUsage().heapUsed;
  const freed = profiler
    .stop()
    .statistics.map(
      ({ beforeGC, afterGC }) =>
        beforeGC.heapStatistics.usedHeapSize - afterGC.heapStatistics.usedHeapSize,
    )
    .reduce((a, b) => a + b, 0);
  return after - before + freed;
}
