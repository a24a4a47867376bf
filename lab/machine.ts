/** A booted Debian with its own systemd, by systemd-nspawn: in a namespace of the lab, on an overlay over the kept tree. */
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type RunOptions, type RunResult, requireCommands, run } from './command.ts';
import type { LabScope, Namespace } from './namespace.ts';
import { LabProcess } from './process.ts';
import { debianRootfs } from './rootfs.ts';

const BOOT_MS_MAX = 60_000;

export interface MachineOptions {
  name: string;
  namespace: Namespace;
  /** folders of this host, and where the machine sees them, writable */
  shared?: Readonly<Record<string, string>>;
}

/** A running machine. The scope's clean-up ends it. */
export class Machine {
  readonly namespace: Namespace;
  /** its file system, seen from here */
  readonly root: string;
  readonly #process: LabProcess;
  #leader = 0;

  private constructor(namespace: Namespace, root: string, process: LabProcess) {
    this.namespace = namespace;
    this.root = root;
    this.#process = process;
  }

  /** Boots, and waits until systemd says that it runs. */
  static async boot(scope: LabScope, options: MachineOptions): Promise<Machine> {
    requireCommands(['systemd-nspawn', 'nsenter']);
    const { namespace, name, shared = {} } = options;
    const root = await mountTree(scope, name);
    const words = [
      `--directory=${root}`,
      `--machine=${scope.prefix}-${name}`,
      '--boot',
      `--network-namespace-path=/run/netns/${namespace.name}`,
      // This host need not run systemd itself.
      '--register=no',
      '--keep-unit',
      '--console=pipe',
      // Given by itself only with a private network of nspawn's own.
      '--capability=CAP_NET_ADMIN,CAP_BPF',
      '--bind=/dev/net/tun',
      // A real host has no filter around it; nspawn's knows no Landlock before systemd 254.
      '--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self bpf',
      ...Object.entries(shared).map(([here, there]) => `--bind=${here}:${there}`),
    ];
    const process = new LabProcess('systemd-nspawn', words, {
      // systemd of today boots on the unified hierarchy only.
      environment: {
        SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: '1',
        // A real host's /proc/sys/net can be written to; nspawn gives that only to private networks of its own.
        SYSTEMD_NSPAWN_API_VFS_WRITABLE: 'network',
      },
    });
    const machine = new Machine(namespace, root, process);
    scope.cleanup.defer(`machine ${name}`, () => process.stop(10_000));
    await machine.#waitUntilBooted();
    return machine;
  }

  /** Runs a command inside. */
  exec(command: string, args: readonly string[], options?: RunOptions): Promise<RunResult> {
    const namespaces = ['-m', '-u', '-i', '-n', '-p', '-C'];
    const words = ['-t', String(this.#leader), ...namespaces, command, ...args];
    return run('nsenter', words, options);
  }

  /** Properties of a unit, as systemctl show has them. */
  async show(unit: string, ...names: string[]): Promise<Record<string, string>> {
    const { stdout } = await this.exec('systemctl', ['show', unit, `-p${names.join(',')}`]);
    const pairs = stdout.trimEnd().split('\n');
    return Object.fromEntries(pairs.map((line) => line.split(/=(.*)/s, 2) as [string, string]));
  }

  /** What a unit logged in this boot. */
  async journal(unit: string): Promise<string> {
    return (await this.exec('journalctl', ['-u', unit, '-o', 'cat', '--no-pager'])).stdout;
  }

  async #waitUntilBooted(): Promise<void> {
    const deadline = Date.now() + BOOT_MS_MAX;
    while (Date.now() < deadline) {
      if (this.#process.exit !== undefined) break;
      this.#leader = childOf(this.#process.pid as number);
      const state = this.#leader > 0 ? await this.#state() : '';
      if (state === 'running' || state === 'degraded') return;
      await sleep(100);
    }
    throw new Error(`the machine did not boot: ${this.#process.lastLines()}`);
  }

  async #state(): Promise<string> {
    const asked = this.exec('systemctl', ['is-system-running'], { allowFailure: true });
    return (await asked.catch(() => undefined))?.stdout.trim() ?? '';
  }
}

async function mountTree(scope: LabScope, name: string): Promise<string> {
  const lower = await debianRootfs();
  const folder = path.join(scope.tempDir, `machine-${name}`);
  const [root, upper, work] = ['root', 'upper', 'work'].map((part) => path.join(folder, part));
  for (const made of [root, upper, work]) mkdirSync(made as string, { recursive: true });
  const layers = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
  scope.cleanup.defer(`file system of ${name}`, () => run('umount', [root as string]));
  await run('mount', ['-t', 'overlay', 'overlay', '-o', layers, root as string]);
  return root as string;
}

/** The machine's first process, or 0. */
function childOf(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')[0]);
  } catch {
    return 0;
  }
}
