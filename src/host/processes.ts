/** Who else runs on this host. In a container, or with hidden processes, only some of them can be seen. */
import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';

export interface OtherProcess {
  pid: number;
  /** as the kernel cuts it: 15 characters */
  name: string;
  /** its command line */
  command: string;
  /** whether it is in our network namespace; undefined where we may not look */
  sharesNetwork: boolean | undefined;
}

/** Processes with one of these names. */
export async function processesNamed(names: RegExp, proc = '/proc'): Promise<OtherProcess[]> {
  const pids = (await readdir(proc).catch(() => [])).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(pids.map((pid) => look(path.join(proc, pid), names)));
  const own = await networkOf(path.join(proc, 'self'));
  return found.flatMap((process) => {
    if (!process) return [];
    const { namespace, ...facts } = process;
    const sharesNetwork = namespace === undefined ? undefined : namespace === own;
    return { ...facts, sharesNetwork };
  });
}

type Seen = Omit<OtherProcess, 'sharesNetwork'> & { namespace: number | undefined };

/**
 * A number that stands for a process's network namespace: each has files of its own in /proc/net. The link ns/net says the same, but only
 * to those who may trace the process: not to an ordinary user, and to nobody under Landlock.
 */
async function networkOf(folder: string): Promise<number | undefined> {
  return stat(path.join(folder, 'net/dev')).then(
    ({ ino }) => ino,
    () => undefined,
  );
}

/** undefined as well when it ended meanwhile */
async function look(folder: string, names: RegExp): Promise<Seen | undefined> {
  try {
    const name = (await readFile(path.join(folder, 'comm'), 'utf8')).trim();
    if (!names.test(name)) return undefined;
    const words = (await readFile(path.join(folder, 'cmdline'), 'utf8')).split('\0');
    // A process that has ended, but whose parent has not heard of it, has no command line.
    if (words.join('') === '') return undefined;
    const namespace = await networkOf(folder);
    const command = words.filter(Boolean).join(' ');
    return { pid: Number(path.basename(folder)), name, command, namespace };
  } catch {
    return undefined;
  }
}
