/**
 * Runs a container image's file system as a Kubernetes node would with hostNetwork: process 1 of its own, root with NET_ADMIN and
 * NET_RAW only, no new privileges, read-only root, /proc/sys read-only, /dev/net/tun passed in.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import type { Namespace } from './namespace.ts';
import type { LabProcess } from './process.ts';

export interface ContainerOptions {
  namespace: Namespace;
  /** file system of the image */
  root: string;
  /** entry point and arguments */
  command: readonly string[];
  /** folders of this host, and where the container sees them, writable */
  shared: Readonly<Record<string, string>>;
}

/** Mounts, in the container's own mount namespace; nothing of it is seen outside. $1 is the root, pairs follow up to "--". */
const SET_UP = `
set -e
root=$1; shift
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --bind /proc/sys "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount --rbind /sys "$root/sys"
mount -t tmpfs tmpfs "$root/dev"
mkdir "$root/dev/net"
for name in null zero urandom random net/tun; do
  touch "$root/dev/$name"
  mount --bind "/dev/$name" "$root/dev/$name"
done
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
while [ "$1" != -- ]; do
  mkdir -p "$root$2"
  mount --bind "$1" "$root$2"
  shift 2
done
shift
mount -o remount,bind,ro "$root"
exec chroot "$root" setpriv --bounding-set=-all,+net_admin,+net_raw --inh-caps=-all --no-new-privs -- "$@"
`;

/** One started container. */
export class Container {
  readonly process: LabProcess;

  private constructor(process: LabProcess) {
    this.process = process;
  }

  static start({ namespace, root, command, shared }: ContainerOptions): Container {
    for (const folder of Object.keys(shared)) mkdirSync(folder, { recursive: true });
    const spaces = ['--mount', '--pid', '--fork', '--ipc', '--kill-child'];
    const mounts = Object.entries(shared).flat();
    const words = [...spaces, 'sh', '-c', SET_UP, 'sh', root, ...mounts, '--', ...command];
    return new Container(namespace.spawn('unshare', words));
  }

  /** Seen from here; process 1 inside. */
  get pid(): number {
    const { pid } = this.process;
    return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')[0]);
  }

  /** A line of /proc/<pid>/status of process 1. */
  status(name: string): string {
    const text = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    return new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(text)?.[1] ?? '';
  }

  /** Sends the stop signal to process 1, as a runtime does, and returns how it ended. */
  async stop(signal: NodeJS.Signals, timeoutMs = 10_000): Promise<string | undefined> {
    process.kill(this.pid, signal);
    await this.process.waitForEnd(timeoutMs);
    return this.process.exit;
  }
}
