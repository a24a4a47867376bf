/** Processor time of the whole machine, from /proc/stat. */
import { existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { gunzipSync } from 'node:zlib';

/** USER_HZ, the unit of /proc/stat on every Linux. */
export const TICKS_PER_SECOND = 100;

/** Seconds since boot, summed over all cores. */
export interface MachineSeconds {
  /** user, nice, system, irq, softirq: not idle, iowait, steal */
  busy: number;
  /** irq and softirq, part of `busy` */
  interrupts: number;
  /** what the hypervisor gave to others while this machine wanted to run */
  steal: number;
}

export function machineSeconds(text = readFileSync('/proc/stat', 'utf8')): MachineSeconds {
  const fields = (text.split('\n')[0] as string).split(/\s+/).slice(1).map(Number);
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = fields;
  return {
    busy: (user + nice + system + irq + softirq) / TICKS_PER_SECOND,
    interrupts: (irq + softirq) / TICKS_PER_SECOND,
    steal: steal / TICKS_PER_SECOND,
  };
}

/**
 * True when this kernel counts interrupts apart from the processes that they interrupt. Else a process, and its control group, has in its
 * time what soft interrupts did while it ran. A kernel that does not show its configuration counts as one of the second kind.
 */
export function countsInterruptsApart(config = kernelConfig()): boolean {
  return /^CONFIG_IRQ_TIME_ACCOUNTING=y$/m.test(config);
}

function kernelConfig(): string {
  const plain = `/boot/config-${release()}`;
  if (existsSync('/proc/config.gz')) return gunzipSync(readFileSync('/proc/config.gz')).toString();
  return existsSync(plain) ? readFileSync(plain, 'utf8') : '';
}

/** Load of the last minute. */
export function loadOfMinute(text = readFileSync('/proc/loadavg', 'utf8')): number {
  return Number(text.split(' ')[0]);
}
