/** What a situation costs: processor time and memory of processes, as the kernel counts them. */
import { readFileSync } from 'node:fs';

const TICK_HZ = 100;

/** User and system time of all threads of a process, in s; 0 when it is gone. */
export function cpuSeconds(pid: number): number {
  const fields = read(pid, 'stat').split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / TICK_HZ;
}

/** Resident memory in MB; 0 when the process is gone. */
export function residentMb(pid: number): number {
  return Math.round(Number(/^VmRSS:\s+(\d+)/m.exec(read(pid, 'status'))?.[1] ?? 0) / 1024);
}

function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}
