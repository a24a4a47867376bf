/** Control groups that a kubelet made for a node of the lab: containers outlive whoever started them. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const ROOT = '/sys/fs/cgroup';
/** What a kubelet wants to find in its root, in the unified hierarchy. */
const CONTROLLERS = ['cpu', 'cpuset', 'memory', 'pids', 'hugetlb'];
const KILL_ROUNDS = 50;

/** Makes the group of that name in every hierarchy, so that a kubelet can take it for its root. */
export function makeCgroup(name: string): void {
  if (isUnified()) {
    const there = readFileSync(join(ROOT, 'cgroup.controllers'), 'utf8').split(/\s+/);
    const wanted = CONTROLLERS.filter((each) => there.includes(each)).map((each) => `+${each}`);
    writeFileSync(join(ROOT, 'cgroup.subtree_control'), wanted.join(' '));
  }
  for (const hierarchy of hierarchies()) {
    mkdirSync(join(hierarchy, name), { recursive: true });
    // Of the first version: without processors and memory nothing may be put into it.
    for (const file of ['cpuset.cpus', 'cpuset.mems'])
      if (!isUnified() && existsSync(join(hierarchy, file)))
        writeFileSync(join(hierarchy, name, file), readFileSync(join(hierarchy, file)));
  }
}

/** Ends every process in the group of that name, or with a dash at its end in all whose names begin so, and removes them. */
export async function endCgroups(prefix: string): Promise<void> {
  for (let round = 0; round < KILL_ROUNDS; round++) {
    const folders = hierarchies().flatMap((hierarchy) =>
      readdirSync(hierarchy)
        .filter((name) => name === prefix || (prefix.endsWith('-') && name.startsWith(prefix)))
        .map((name) => join(hierarchy, name)),
    );
    if (folders.length === 0) return;
    for (const folder of folders) killIn(folder);
    for (const folder of folders) removeEmpty(folder);
    await sleep(100);
  }
}

function isUnified(): boolean {
  return existsSync(join(ROOT, 'cgroup.controllers'));
}

/** Folders of the hierarchies; the unified one is a hierarchy itself. */
function hierarchies(): string[] {
  if (isUnified()) return [ROOT];
  return readdirSync(ROOT, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(ROOT, name));
}

function inside(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => join(folder, name));
  } catch {
    return []; // it went meanwhile
  }
}

function killIn(folder: string): void {
  for (const each of inside(folder)) killIn(each);
  for (const pid of pidsIn(folder))
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // it ended by itself
    }
}

function pidsIn(folder: string): number[] {
  try {
    const text = readFileSync(join(folder, 'cgroup.procs'), 'utf8');
    return text.split('\n').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** From the inside out; what still has processes stays for the next round. */
function removeEmpty(folder: string): void {
  for (const each of inside(folder)) removeEmpty(each);
  try {
    rmdirSync(folder);
  } catch {
    // not empty yet, or gone
  }
}
