/**
 * A weftd whose descriptors outlive it: native/tools/fd-keeper stands for systemd's descriptor store, watchdog and restart. The real
 * one is tested where a whole Debian boots.
 */
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Lab } from '../../lab/lab.ts';
import type { LabProcess } from '../../lab/process.ts';
import { buildTool } from '../../lab/tool.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import { until } from './until.ts';

export class KeptDaemon {
  private readonly keeper: LabProcess;
  private readonly argumentsFile: string;
  private readonly node: WeftNode;

  private constructor(keeper: LabProcess, argumentsFile: string, node: WeftNode) {
    this.keeper = keeper;
    this.argumentsFile = argumentsFile;
    this.node = node;
  }

  /** In the place of a node's stopped daemon. Resolves when it is ready. `user` are words in front of the command line. */
  static async start(
    lab: Lab,
    node: WeftNode,
    options: { watchdogMs?: number; prefix?: readonly string[] } = {},
  ): Promise<KeptDaemon> {
    const file = (name: string): string => path.join(lab.scope.tempDir, `${node.name}.${name}`);
    const argumentsFile = file('arguments');
    // An earlier keeper's lines would be taken for this one's.
    for (const name of ['notify', 'keeper.log']) rmSync(file(name), { force: true });
    const program = await buildTool('fd-keeper');
    const words = [...(options.prefix ?? []), ...node.command()];
    writeFileSync(argumentsFile, words.join('\n'));
    const watchdog = options.watchdogMs === undefined ? [] : [`${options.watchdogMs}`];
    const keeper = node.namespace.spawn(program, [argumentsFile, file('notify'), ...watchdog], {
      logFile: file('keeper.log'),
    });
    const daemon = new KeptDaemon(keeper, argumentsFile, node);
    await daemon.untilReady(1);
    return daemon;
  }

  /** What the keeper saw and the daemon logged, line by line. */
  get lines(): string[] {
    return this.keeper.output.split('\n');
  }

  count(pattern: RegExp): number {
    return this.lines.filter((line) => pattern.test(line)).length;
  }

  /** pid and number of inherited descriptors of the last start. */
  get last(): { pid: number; inherited: number } {
    const line = this.lines.findLast((text) => /^start \d+ \d+$/.test(text)) ?? '';
    const [, pid, inherited] = line.split(' ').map(Number);
    return { pid: pid as number, inherited: inherited as number };
  }

  /** The daemon has been started this often, and the last one is ready. */
  async untilReady(starts: number): Promise<void> {
    await until(`start ${starts} is ready`, () => {
      const { lines } = this;
      const started = lines.filter((line) => line.startsWith('start ')).length;
      const last = lines.findLastIndex((line) => line.startsWith('start '));
      return started >= starts && lines.slice(last).some((line) => line === 'message READY=1');
    }).catch((error: Error) => {
      throw new Error(`${error.message}\n${this.keeper.lastLines(30)}`);
    });
  }

  /** As `systemctl restart`. */
  async restart(...flags: string[]): Promise<void> {
    if (flags.length > 0)
      writeFileSync(this.argumentsFile, [...this.node.command(), ...flags].join('\n'));
    const starts = this.count(/^start /);
    this.keeper.signal('SIGUSR1');
    await this.untilReady(starts + 1);
  }

  async kill(): Promise<void> {
    const starts = this.count(/^start /);
    process.kill(this.last.pid, 'SIGKILL');
    await this.untilReady(starts + 1);
  }

  async stop(): Promise<void> {
    await this.keeper.stop(10_000);
  }
}
