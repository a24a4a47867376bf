/** What a process has open, by kind, so that a growth can be named. From /proc (proc(5)), in the process's own namespaces. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export type Descriptors = Readonly<Record<string, number>>;

/** Tables of /proc/PID/net whose rows end in, or have, a socket's inode: in which column it stands. */
const SOCKET_TABLES: Readonly<Record<string, number>> = {
  tcp: 9,
  tcp6: 9,
  udp: 9,
  udp6: 9,
  raw: 9,
  raw6: 9,
  icmp: 9,
  icmp6: 9,
  unix: 6,
  netlink: 9,
  packet: 8,
};
const LISTENING = '0A';

/** How many of each kind; throws when the process is gone. */
export function descriptorsOf(pid: number): Descriptors {
  const sockets = socketKinds(pid);
  const counts: Record<string, number> = {};
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    const kind = kindOf(targetOf(`/proc/${pid}/fd/${fd}`), sockets);
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

export function total(descriptors: Descriptors): number {
  return Object.values(descriptors).reduce((sum, count) => sum + count, 0);
}

/** Which kinds there are more of: "tcp to 2379 +2, pipe +1"; '' for none. */
export function renderGrowth(before: Descriptors, after: Descriptors): string {
  return Object.entries(after)
    .map(([kind, count]) => ({ kind, more: count - (before[kind] ?? 0) }))
    .filter(({ more }) => more > 0)
    .sort((a, b) => b.more - a.more)
    .map(({ kind, more }) => `${kind} +${more}`)
    .join(', ');
}

/** '' when it was closed meanwhile. */
function targetOf(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return '';
  }
}

/** "socket:[123]" and "pipe:[123]" carry their inode, "anon_inode:[eventpoll]" its kind. */
function kindOf(target: string, sockets: ReadonlyMap<string, string>): string {
  const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
  if (inode !== undefined) return sockets.get(inode) ?? 'socket';
  if (target.startsWith('pipe:')) return 'pipe';
  return target === '' ? 'closing' : target;
}

function socketKinds(pid: number): Map<string, string> {
  const kinds = new Map<string, string>();
  for (const [table, column] of Object.entries(SOCKET_TABLES)) {
    for (const row of rowsOf(`/proc/${pid}/net/${table}`)) {
      const words = row.trim().split(/\s+/);
      kinds.set(words[column] ?? '', table.startsWith('tcp') ? tcpKind(table, words) : table);
    }
  }
  return kinds;
}

function tcpKind(table: string, [, local = '', remote = '', state]: readonly string[]): string {
  const port = (end: string): number => Number.parseInt(end.split(':')[1] ?? '0', 16);
  return state === LISTENING ? `${table} on ${port(local)}` : `${table} to ${port(remote)}`;
}

/** Without the head line; none where the kernel has no such table. */
function rowsOf(file: string): string[] {
  try {
    return readFileSync(file, 'latin1').split('\n').slice(1).filter(Boolean);
  } catch {
    return [];
  }
}
