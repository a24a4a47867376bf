/** Processor time of the whole machine. Nodes, pods and tools share it, so it is the only figure that forgets nobody. */
import { readFileSync } from 'node:fs';

/** USER_HZ, the unit of /proc/stat on every Linux. */
const TICKS_PER_SECOND = 100;

/** Busy time since boot in seconds: user, nice, system, irq, softirq (not idle, iowait, steal). */
export function busySeconds(text = readFileSync('/proc/stat', 'utf8')): number {
  const fields = (text.split('\n')[0] as string).split(/\s+/).slice(1).map(Number);
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = fields;
  return (user + nice + system + irq + softirq) / TICKS_PER_SECOND;
}
