/** Who else runs on this host. In a container, or with hidden processes, only some of them can be seen. */
import { readdir, readFile, readlink } from 'node:fs/promises';
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
  const own = await readlink(path.join(proc, 'self/ns/net')).catch(() => undefined);
  return found.flatMap((process) => {
    if (!process) return [];
    const { namespace, ...facts } = process;
    const sharesNetwork = namespace === undefined ? undefined : namespace === own;
    return { ...facts, sharesNetwork };
  });
}

type Seen = Omit<OtherProcess, 'sharesNetwork'> & { namespace: string | undefined };

/** undefined as well when it ended meanwhile */
async function look(folder: string, names: RegExp): Promise<Seen | undefined> {
  try {
    const name = (await readFile(path.join(folder, 'comm'), 'utf8')).trim();
    if (!names.test(name)) return undefined;
    const words = (await readFile(path.join(folder, 'cmdline'), 'utf8')).split('\0');
    // A process that has ended, but whose parent has not heard of it, has no command line.
    if (words.join('') === '') return undefined;
    const namespace = await readlink(path.join(folder, 'ns/net')).catch(() => undefined);
    const command = words.filter(Boolean).join(' ');
    return { pid: Number(path.basename(folder)), name, command, namespace };
  } catch {
    return undefined;
  }
}
