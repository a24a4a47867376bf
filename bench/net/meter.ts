/** What a data plane costs: its daemons and the tools in its pods, each in a control group, and what else the machine did meanwhile. */
import { cpus } from 'node:os';
import { type RunOptions, type RunResult, run } from '../../lab/command.ts';
import type { LabProcess } from '../../lab/process.ts';
import { countsInterruptsApart, loadOfMinute, machineSeconds } from './cpu.ts';
import { CpuGroup } from './cpu-group.ts';
import type { Endpoint, Rig } from './planes/plane.ts';
import { type ProcessTime, type Snapshot, secondsBetween, snapshot } from './processes.ts';
import type { Conditions } from './result.ts';

/** Seconds of processor time. */
export interface CpuUse {
  /** of the data plane: daemons, tools, and what the kernel did for them in threads or interrupts of its own */
  cpuSeconds: number;
  daemonCpuSeconds: number;
  /** of what makes and takes the traffic, with the kernel's work on its behalf: all of kernel VXLAN's is here */
  toolCpuSeconds: number;
}

/** One rig's meter. Close it before the rig. */
export class Meter {
  readonly #tool: string;
  readonly #daemons: CpuGroup;
  readonly #tools: CpuGroup;

  private constructor(tool: string, daemons: CpuGroup, tools: CpuGroup) {
    this.#tool = tool;
    this.#daemons = daemons;
    this.#tools = tools;
  }

  /** Puts everything that runs in the nodes into a group. `tool`: path of the traffic tool. */
  static async open(rig: Rig, tool: string): Promise<Meter> {
    const meter = new Meter(tool, CpuGroup.create(), CpuGroup.create());
    for (const { name } of rig.nodes) meter.#daemons.add(await pidsIn(name));
    return meter;
  }

  /** Starts a program in a pod, and puts it into the tools' group. */
  spawn(pod: Endpoint, command: string, args: readonly string[]): LabProcess {
    const started = pod.namespace.spawn(command, args);
    if (started.pid !== undefined) this.#tools.add([started.pid]);
    return started;
  }

  /** Runs a program in a pod to its end, in the tools' group: joined before, because a namespace hides control groups. */
  exec(
    pod: Endpoint,
    command: string,
    args: readonly string[],
    options?: RunOptions,
  ): Promise<RunResult> {
    const inPod = ['ip', 'netns', 'exec', pod.namespace.name, command, ...args];
    return run(this.#tool, ['in', this.#tools.folder, ...inPod], options);
  }

  /** What the plane uses while `action` runs. */
  async cpuOf<T>(action: () => Promise<T>): Promise<{ done: T; cpu: CpuUse }> {
    const before = this.#read();
    const done = await action();
    const after = this.#read();
    const daemonCpuSeconds = after.daemons - before.daemons;
    const toolCpuSeconds = after.tools - before.tools;
    const kernel = secondsBetween(before.processes, after.processes, (p) => p.isKernelThread);
    const interrupts = APART ? after.machine.interrupts - before.machine.interrupts : 0;
    const cpuSeconds = daemonCpuSeconds + toolCpuSeconds + kernel + interrupts;
    return { done, cpu: { cpuSeconds, daemonCpuSeconds, toolCpuSeconds } };
  }

  /** What others did to the machine while `action` runs, whatever becomes of it. */
  async conditionsOf<T>(
    action: () => Promise<T>,
  ): Promise<{ result: PromiseSettledResult<T>; conditions: Conditions }> {
    const watch = new Watch(() => [...this.#daemons.pids, ...this.#tools.pids]);
    const [result] = await Promise.allSettled([action()]);
    return { result, conditions: watch.end() };
  }

  close(): void {
    this.#daemons.remove();
    this.#tools.remove();
  }

  #read() {
    return {
      daemons: this.#daemons.seconds,
      tools: this.#tools.seconds,
      machine: machineSeconds(),
      processes: snapshot(),
    };
  }
}

const APART = countsInterruptsApart();

/** Looks at the machine from its making to `end`. */
export class Watch {
  readonly #startedMs = performance.now();
  readonly #machine = machineSeconds();
  readonly #load1 = loadOfMinute();
  readonly #processes: Snapshot;
  readonly #own: Set<number>;
  readonly #pids: () => readonly number[];

  /** `pids`: processes that are no strangers, besides this one */
  constructor(pids: () => readonly number[]) {
    this.#pids = pids;
    this.#processes = snapshot();
    this.#own = new Set([process.pid, ...pids()]);
  }

  end(): Conditions {
    const after = snapshot();
    for (const pid of this.#pids()) this.#own.add(pid);
    const isForeign = (p: ProcessTime): boolean => !p.isKernelThread && !this.#own.has(p.pid);
    const available = ((performance.now() - this.#startedMs) / 1000) * cpus().length;
    const share = (seconds: number): number => (100 * seconds) / available;
    return {
      load1: this.#load1,
      stealPct: share(machineSeconds().steal - this.#machine.steal),
      // A process that took over the time of others has it all at once: never more than the machine was busy.
      foreignPct: share(
        Math.min(
          secondsBetween(this.#processes, after, isForeign),
          machineSeconds().busy - this.#machine.busy,
        ),
      ),
    };
  }
}

async function pidsIn(namespace: string): Promise<number[]> {
  const { stdout } = await run('ip', ['netns', 'pids', namespace]);
  return stdout.split('\n').filter(Boolean).map(Number);
}
