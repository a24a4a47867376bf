/** What makes a network namespace a machine of its own for a kubelet: its own /etc, /opt, /var/lib, /var/log and /run, all else shared. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type RunOptions, type RunResult, run } from '../command.ts';
import type { LabScope, Namespace } from '../namespace.ts';
import { LabProcess, type ProcessOptions } from '../process.ts';

/** Overlays, so that nothing is written on this machine. $1 is the folder of their upper layers. */
const SET_UP = `
set -e
for name in etc opt var/lib var/log; do
  mkdir -p "$1/upper/$name" "$1/scratch/$name"
  mount -t overlay -o "lowerdir=/$name,upperdir=$1/upper/$name,workdir=$1/scratch/$name" overlay "/$name"
done
mount -t tmpfs tmpfs /run
mkdir -p /run/netns /run/flannel /run/lock /run/fixed /etc/cni/net.d /opt/cni/bin /var/lib/cni /var/lib/kubelet /var/log/pods
rm -rf /etc/cni/net.d/* /var/lib/cni/*
mount --make-rshared /
# A kubelet sets these for the whole machine: it is shown that they are as it wants them.
while read -r key value; do
  file="/run/fixed/$(echo "$key" | tr / .)"
  echo "$value" > "$file"
  mount --bind "$file" "/proc/sys/$key"
done <<END
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
END
touch "$1/ready"
exec sleep infinity
`;
const READY_MS = 10_000;

export class MachineSpace {
  readonly namespace: Namespace;
  private readonly holder: LabProcess;
  private readonly scope: LabScope;

  private constructor(namespace: Namespace, holder: LabProcess, scope: LabScope) {
    this.namespace = namespace;
    this.holder = holder;
    this.scope = scope;
  }

  /** `folder` holds what is written inside. */
  static async create(
    scope: LabScope,
    namespace: Namespace,
    folder: string,
  ): Promise<MachineSpace> {
    mkdirSync(folder, { recursive: true });
    // Not "ip netns exec", which hides the control groups.
    const enter = [`--net=/run/netns/${namespace.name}`, 'unshare', '--mount'];
    const shell = ['--propagation', 'private', 'sh', '-c', SET_UP, 'sh', folder];
    const holder = new LabProcess('nsenter', [...enter, ...shell]);
    scope.cleanup.defer(`mounts of ${namespace.name}`, () => holder.kill());
    const space = new MachineSpace(namespace, holder, scope);
    await space.waitUntilReady(folder);
    return space;
  }

  /** Runs a command inside to its end. */
  exec(command: string, args: readonly string[], options?: RunOptions): Promise<RunResult> {
    return run('nsenter', [...this.inside(), command, ...args], options);
  }

  /** Starts a process inside; the clean-up ends it if nobody did before. */
  spawn(command: string, args: readonly string[], options?: ProcessOptions): LabProcess {
    const started = new LabProcess('nsenter', [...this.inside(), command, ...args], options);
    this.scope.cleanup.defer(`${command} in ${this.namespace.name}`, () => started.stop());
    return started;
  }

  /** Where a file inside is seen from outside. */
  path(file: string): string {
    return `/proc/${this.holder.pid}/root${file}`;
  }

  /** A process id that is somebody else's by now would lead out of the lab. */
  private inside(): string[] {
    if (this.holder.exit !== undefined)
      throw new Error(`${this.namespace.name}: its machine has gone`);
    return ['--target', `${this.holder.pid}`, '--mount', '--net', '--'];
  }

  private async waitUntilReady(folder: string): Promise<void> {
    const deadline = Date.now() + READY_MS;
    while (!existsSync(join(folder, 'ready'))) {
      if (this.holder.exit !== undefined || Date.now() > deadline)
        throw new Error(`no machine in ${this.namespace.name}: ${this.holder.lastLines()}`);
      await sleep(20);
    }
  }
}
