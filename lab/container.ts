/**
 * Runs a container image's file system as a Kubernetes node would with hostNetwork: process 1 of its own, /proc/sys read-only. With weft's
 * manifest: root with NET_ADMIN and NET_RAW only, no new privileges, read-only root, /dev/net/tun passed in. With flannel's: NET_ADMIN beside
 * what a runtime leaves a container, a root that can be written, and no device. Bare: weft's without the device.
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
  /** whose manifest asks for it; default is weft's */
  manifest?: keyof typeof MANIFESTS;
  /** folders of this host, and where the container sees them, writable */
  shared: Readonly<Record<string, string>>;
}

/** What containerd and CRI-O leave a container that asks for nothing. */
const RUNTIME_CAPABILITIES =
  'chown,dac_override,fowner,fsetid,kill,mknod,net_bind_service,net_raw,setfcap,setgid,setpcap,setuid,sys_chroot';

const MANIFESTS = {
  weft: {
    capabilities: 'net_admin,net_raw',
    device: 'net/tun',
    root: 'ro',
    flags: ['--no-new-privs'],
  },
  bare: { capabilities: 'net_admin,net_raw', device: '', root: 'ro', flags: ['--no-new-privs'] },
  flannel: { capabilities: `net_admin,${RUNTIME_CAPABILITIES}`, device: '', root: 'rw', flags: [] },
} as const;

/**
 * Mounts, in the container's own mount namespace; nothing of it is seen outside. $1 is the root, $2 how it is mounted, $3 a device; pairs
 * follow up to "--".
 */
const SET_UP = `
set -e
root=$1 access=$2 device=$3; shift 3
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --bind /proc/sys "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount --rbind /sys "$root/sys"
mount -t tmpfs tmpfs "$root/dev"
for name in null zero urandom random $device; do
  mkdir -p "$(dirname "$root/dev/$name")"
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
mount -o "remount,bind,$access" "$root"
exec chroot "$root" setpriv "$@"
`;

/** One started container. */
export class Container {
  readonly process: LabProcess;

  private constructor(process: LabProcess) {
    this.process = process;
  }

  static start(options: ContainerOptions): Container {
    const { namespace, root, command, shared, manifest = 'weft' } = options;
    const { capabilities, device, root: access, flags } = MANIFESTS[manifest];
    const kept = capabilities.split(',').map((name) => `,+${name}`);
    const rights = [`--bounding-set=-all${kept.join('')}`, '--inh-caps=-all', ...flags, '--'];
    for (const folder of Object.keys(shared)) mkdirSync(folder, { recursive: true });
    const spaces = ['--mount', '--pid', '--fork', '--ipc', '--kill-child'];
    const mounts = Object.entries(shared).flat();
    const program = ['sh', '-c', SET_UP, 'sh', root, access, device];
    const words = [...spaces, ...program, ...mounts, '--', ...rights, ...command];
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
