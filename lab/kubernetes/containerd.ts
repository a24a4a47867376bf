/** The container runtime of one machine of the lab. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunResult } from '../command.ts';
import type { LabProcess } from '../process.ts';
import { PAUSE_IMAGE } from './cluster-image.ts';
import type { MachineSpace } from './machine-space.ts';
import { kubernetesProgram } from './programs.ts';

const READY_MS = 60_000;
const IMPORT_MS = 120_000;

/** A container as the runtime sees it. */
export interface RunningContainer {
  id: string;
  pid: number;
  /** what the kubelet wrote: io.kubernetes.pod.name, io.kubernetes.container.name, ... */
  labels: Readonly<Record<string, string>>;
}

export class Containerd {
  readonly socket: string;
  private readonly space: MachineSpace;
  private readonly folder: string;
  private process: LabProcess | undefined;
  private programs = '';

  constructor(space: MachineSpace, folder: string) {
    this.space = space;
    this.folder = folder;
    this.socket = join(folder, 'containerd.sock');
    mkdirSync(folder, { recursive: true });
  }

  async start(): Promise<void> {
    this.programs = await kubernetesProgram('runtime');
    const configFile = join(this.folder, 'config.toml');
    writeFileSync(configFile, configOf(this.folder, this.socket));
    const path = ['usr/bin', 'usr/sbin'].map((name) => join(this.programs, name)).join(':');
    const starts = this.starts;
    this.process = this.space.spawn(join(this.programs, 'usr/bin/containerd'), ['-c', configFile], {
      logFile: this.logFile,
      environment: {
        PATH: `${path}:${process.env['PATH']}:/usr/sbin:/sbin`,
        LD_LIBRARY_PATH: join(this.programs, 'usr/lib/x86_64-linux-gnu'),
      },
    });
    await this.waitUntilReady(this.process, starts);
  }

  /** The shims of its containers end with their containers. */
  async kill(): Promise<void> {
    await this.process?.kill();
  }

  /** Takes up the images of an archive. */
  async importImages(archive: string): Promise<void> {
    await this.ctr(['images', 'import', archive], IMPORT_MS);
  }

  /** All that run now. */
  async running(): Promise<RunningContainer[]> {
    const { stdout } = await this.ctr(['tasks', 'list']);
    const rows = stdout
      .trim()
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/));
    const alive = rows.filter(([, , state]) => state === 'RUNNING');
    return Promise.all(
      alive.map(async ([id = '', pid]) => {
        const info = await this.ctr(['containers', 'info', id]);
        const { Labels } = JSON.parse(info.stdout) as { Labels?: Record<string, string> };
        return { id, pid: Number(pid), labels: Labels ?? {} };
      }),
    );
  }

  private ctr(words: readonly string[], timeoutMs?: number): Promise<RunResult> {
    const flags = ['--address', this.socket, '--namespace', 'k8s.io'];
    return this.space.exec(join(this.programs, 'usr/bin/ctr'), [...flags, ...words], {
      ...(timeoutMs !== undefined && { timeoutMs }),
    });
  }

  private get logFile(): string {
    return join(this.folder, 'containerd.log');
  }

  /** How often it has begun to take a kubelet's calls: the last step of its start, after it has answered others for long. */
  private get starts(): number {
    if (!existsSync(this.logFile)) return 0;
    return readFileSync(this.logFile, 'utf8').split('Start streaming server').length - 1;
  }

  /** A kubelet that comes too early ends for good. */
  private async waitUntilReady(started: LabProcess, startsBefore: number): Promise<void> {
    const deadline = Date.now() + READY_MS;
    while (this.starts === startsBefore) {
      if (started.exit !== undefined || Date.now() > deadline)
        throw new Error(`containerd does not get ready: ${started.lastLines(5)}`);
      await sleep(100);
    }
  }
}

/** Where a machine may not change how the kernel kills (no CAP_SYS_RESOURCE), a pod must not ask for it. */
function configOf(folder: string, socket: string): string {
  return `version = 2
root = "${folder}/root"
state = "${folder}/state"
[grpc]
  address = "${socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
`;
}
