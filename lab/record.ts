/** A file per running lab, so that what a killed lab left behind can be found and removed by name. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { endCgroups } from './cgroup.ts';
import { run } from './command.ts';

const FOLDER = '/run/weft-lab';
const PREFIX = /^weft-[0-9a-f]{4}$/;

/** What is known about one lab. */
export interface LabRecord {
  /** names of its namespaces start with this and a dash */
  prefix: string;
  pid: number;
  /** start time of that process in clock ticks since boot: a pid alone may have been reused */
  startTicks: string;
  tempDir: string;
  /** left running on purpose; only removed when asked */
  kept: boolean;
}

/** Writes (or replaces) the record of a lab owned by this process. */
export function writeRecord(prefix: string, tempDir: string, kept: boolean): void {
  mkdirSync(FOLDER, { recursive: true });
  const startTicks = startTicksOf(process.pid) ?? '';
  const record: LabRecord = { prefix, pid: process.pid, startTicks, tempDir, kept };
  writeFileSync(fileOf(prefix), JSON.stringify(record));
}

export function deleteRecord(prefix: string): void {
  rmSync(fileOf(prefix), { force: true });
}

/** Records of all labs of this machine; unreadable ones are left out. */
export function listRecords(): LabRecord[] {
  let names: string[];
  try {
    names = readdirSync(FOLDER);
  } catch {
    return [];
  }
  return names
    .map((name) => readRecord(join(FOLDER, name)))
    .filter((record) => record !== undefined);
}

/** Removes what labs left whose process is gone. Kept labs stay. Returns their prefixes. */
export async function sweepLeftovers(): Promise<string[]> {
  const dead = listRecords().filter((record) => !record.kept && !isAlive(record));
  for (const record of dead) await removeLab(record);
  return dead.map((record) => record.prefix);
}

/** Ends the processes in the namespaces of a lab, deletes the namespaces, its files and its record. */
export async function removeLab(record: LabRecord): Promise<void> {
  const names = await namespacesOf(record.prefix);
  for (const name of names) await endProcessesIn(name);
  await endCgroups(`${record.prefix}-`);
  for (const name of names) await run('ip', ['netns', 'delete', name], { allowFailure: true });
  if (record.tempDir.startsWith(join(tmpdir(), 'weft-lab-'))) {
    rmSync(record.tempDir, { recursive: true, force: true });
  }
  deleteRecord(record.prefix);
}

/** Names of the existing namespaces of a lab. */
export async function namespacesOf(prefix: string): Promise<string[]> {
  const { stdout } = await run('ip', ['netns', 'list']);
  const names = stdout.split('\n').map((line) => line.split(' ')[0] ?? '');
  return names.filter((name) => name.startsWith(`${prefix}-`));
}

/** The namespace was made by a lab, so whatever runs in it was started for that lab. */
async function endProcessesIn(name: string): Promise<void> {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    for (let wait = 0; wait < 20; wait++) {
      const pids = await pidsIn(name);
      if (pids.length === 0) return;
      if (wait === 0) for (const pid of pids) signalQuietly(pid, signal);
      await sleep(100);
    }
  }
}

async function pidsIn(name: string): Promise<number[]> {
  const { stdout } = await run('ip', ['netns', 'pids', name], { allowFailure: true });
  return stdout.split(/\s+/).filter(Boolean).map(Number);
}

function signalQuietly(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // it ended meanwhile
  }
}

function isAlive(record: LabRecord): boolean {
  return startTicksOf(record.pid) === record.startTicks;
}

/** Field 22 of /proc/<pid>/stat; the command name before it may hold blanks and brackets. */
function startTicksOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

function readRecord(file: string): LabRecord | undefined {
  try {
    const record = JSON.parse(readFileSync(file, 'utf8')) as LabRecord;
    return PREFIX.test(record.prefix) ? record : undefined;
  } catch {
    return undefined;
  }
}

function fileOf(prefix: string): string {
  return join(FOLDER, `${prefix}.json`);
}
