/** Who holds a UDP port: /proc/net/udp names the socket, /proc/<pid>/fd its process. */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { printable } from '../../shared/printable.ts';
import { readKernel } from './kernel-file.ts';

export interface PortHolder {
  /** undefined: no process that we may look into */
  pid: number | undefined;
  name: string;
}

/** Inodes of the sockets on this port, from the text of /proc/net/udp or udp6. */
export function socketInodes(text: string, port: number): string[] {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0');
  return text
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => columns[1]?.endsWith(`:${wanted}`))
    .flatMap((columns) => columns[9] ?? []);
}

export async function holdersOf(port: number): Promise<PortHolder[]> {
  const tables = await Promise.all([readKernel('/proc/net/udp'), readKernel('/proc/net/udp6')]);
  const inodes = new Set(tables.flatMap((text) => socketInodes(text ?? '', port)));
  if (inodes.size === 0) return [];
  const holders: (PortHolder & { parent: number })[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const links = await linksOf(pid);
    if (!links.some((link) => inodes.has(/^socket:\[(\d+)\]$/.exec(link)?.[1] ?? ''))) continue;
    const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => 'a process');
    holders.push({ pid: Number(pid), name: printable(name.trim()), parent: await parentOf(pid) });
  }
  if (holders.length === 0) return [{ pid: undefined, name: '' }];
  // A child has its parent's sockets for a moment, until it becomes another program.
  return holders.filter(({ parent }) => !holders.some(({ pid }) => pid === parent));
}

async function parentOf(pid: string): Promise<number> {
  const status = (await readKernel(`/proc/${pid}/status`)) ?? '';
  return Number(/^PPid:\s*(\d+)$/m.exec(status)?.[1] ?? 0);
}

async function linksOf(pid: string): Promise<string[]> {
  const folder = `/proc/${pid}/fd`;
  const names = await readdir(folder).catch(() => []);
  return Promise.all(names.map((name) => readlink(`${folder}/${name}`).catch(() => '')));
}
