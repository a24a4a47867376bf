/**
 * A weftd whose descriptors outlive it: weft-keeper holds them, and this is the rest of a service manager: it starts the daemon again
 * whenever it ends, and can have a watchdog. Stands for systemd, or for kubelet. The real systemd is tested where a whole Debian boots.
 */
import { appendFileSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunResult } from '../../lab/command.ts';
import type { Lab } from '../../lab/lab.ts';
import type { LabProcess } from '../../lab/process.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import { KEEPER } from './keeper.ts';
import { until } from './until.ts';

/** A timer takes no longer time. */
const FOR_EVER_MS = 2 ** 31 - 1;
const WATCHDOG_LOOK_MS = 50;
/** What the keeper hears, or what the daemon logs where no keeper hears it. */
const READY = /^message READY=1$|"msg":"ready"/;
const LISTENS = /^weft-keeper: listens at /;

export interface KeptOptions {
  /** without it nobody looks whether the daemon lives */
  watchdogMs?: number;
  /** words in front of the command lines of keeper and daemon */
  prefix?: readonly string[];
  /** between an end and the next start */
  gapMs?: number;
  /** whom it stands for; default systemd */
  manager?: 'systemd' | 'kubelet';
}

export class KeptDaemon {
  /** between an end and the next start */
  gapMs: number;
  private readonly node: WeftNode;
  private readonly options: KeptOptions;
  private readonly file: (name: string) => string;
  private readonly onStart: (stop: () => void) => void;
  private keeper: LabProcess;
  private flags: readonly string[] = [];
  private process: LabProcess | undefined;
  private isStopping = false;
  private watchdog: NodeJS.Timeout | undefined;

  private constructor(lab: Lab, node: WeftNode, options: KeptOptions) {
    this.node = node;
    this.options = options;
    this.gapMs = options.gapMs ?? 0;
    this.file = (name) => path.join(lab.scope.tempDir, `${node.name}.${name}`);
    this.onStart = (stop) => lab.scope.cleanup.defer(`no next start on ${node.name}`, stop);
    // An earlier keeper's lines would be taken for this one's.
    rmSync(this.file('log'), { force: true });
    this.keeper = this.spawnKeeper();
  }

  private spawnKeeper(...flags: string[]): LabProcess {
    return this.spawn(KEEPER, 'keep', `--socket=${this.file('notify')}`, '--verbose', ...flags);
  }

  /** In the place of a node's stopped daemon. Resolves when it is ready. */
  static async start(lab: Lab, node: WeftNode, options: KeptOptions = {}): Promise<KeptDaemon> {
    const daemon = new KeptDaemon(lab, node, options);
    await until('the keeper listens', () => daemon.count(LISTENS) === 1);
    daemon.startOnce();
    await daemon.untilReady(1);
    return daemon;
  }

  private spawn(...words: string[]): LabProcess {
    const [command = '', ...args] = [...(this.options.prefix ?? []), ...words];
    const { watchdogMs } = this.options;
    const environment: Record<string, string> =
      watchdogMs === undefined ? {} : { WATCHDOG_USEC: `${watchdogMs * 1000}` };
    return this.node.namespace.spawn(command, args, { logFile: this.file('log'), environment });
  }

  private startOnce(): void {
    const manager = this.options.manager ?? 'systemd';
    this.process = this.spawn(
      ...[KEEPER, 'run', `--socket=${this.file('notify')}`, '--'],
      ...(manager === 'systemd' ? ['env', '-u', 'WEFT_KEEPER'] : []),
      ...[...this.node.command(), ...this.flags],
    );
    this.onStart(() => {
      this.isStopping = true;
      clearInterval(this.watchdog);
    });
    this.say(`start ${this.process.pid}`);
    this.watch(this.process);
    void this.startAgainAfter(this.process);
  }

  private async startAgainAfter(process: LabProcess): Promise<void> {
    await process.waitForEnd(FOR_EVER_MS);
    clearInterval(this.watchdog);
    this.say(`end ${process.exit}`);
    await sleep(this.gapMs);
    if (!this.isStopping) this.startOnce();
  }

  private watch(process: LabProcess): void {
    const { watchdogMs } = this.options;
    if (watchdogMs === undefined) return;
    let feeds = -1;
    let fedAt = 0;
    const ready = this.count(/^message READY=1$/);
    this.watchdog = setInterval(() => {
      const now = this.count(/^message WATCHDOG=1$/);
      // As systemd: a start has a time limit of its own.
      const isStarting = this.count(/^message READY=1$/) === ready;
      if (now !== feeds || isStarting) fedAt = performance.now();
      feeds = now;
      if (performance.now() - fedAt < watchdogMs) return;
      this.say('watchdog');
      process.signal('SIGABRT');
      fedAt = performance.now();
    }, WATCHDOG_LOOK_MS);
  }

  /** Among the lines of the others. */
  private say(line: string): void {
    appendFileSync(this.file('log'), `${line}\n`);
  }

  /** Of the keeper (`message …`, `weft-keeper: …`), of the daemon, and what happened: `start PID`, `end HOW`, `watchdog`. */
  get lines(): string[] {
    return readFileSync(this.file('log'), 'utf8').split('\n');
  }

  count(pattern: RegExp): number {
    return this.lines.filter((line) => pattern.test(line)).length;
  }

  /** pid and number of inherited descriptors of the last start. */
  get last(): { pid: number; inherited: number } {
    const numberIn = (pattern: RegExp): number => {
      const found = this.lines.findLast((line) => pattern.test(line));
      return Number(pattern.exec(found ?? '')?.[1]);
    };
    return { pid: numberIn(/^start (\d+)$/), inherited: numberIn(/: handed over (\d+)$/) };
  }

  /** The daemon has been started this often, and the last one is ready. */
  async untilReady(starts: number): Promise<void> {
    await until(`start ${starts} is ready`, () => {
      const { lines } = this;
      const started = lines.filter((line) => line.startsWith('start ')).length;
      const last = lines.findLastIndex((line) => line.startsWith('start '));
      return started >= starts && lines.slice(last).some((line) => READY.test(line));
    }).catch((error: Error) => {
      throw new Error(`${error.message}\n${this.lines.slice(-30).join('\n')}`);
    });
  }

  /** As `systemctl restart`. */
  async restart(...flags: string[]): Promise<void> {
    this.flags = flags;
    await this.startAgainBy('SIGTERM');
  }

  async kill(): Promise<void> {
    await this.startAgainBy('SIGKILL');
  }

  private async startAgainBy(signal: NodeJS.Signals): Promise<void> {
    const starts = this.count(/^start /);
    this.process?.signal(signal);
    await this.untilReady(starts + 1);
  }

  /** Kills the keeper, the daemon goes on. */
  async endKeeper(): Promise<void> {
    await this.keeper.kill();
  }

  /** Kills the keeper and starts another one in its place. */
  async replaceKeeper(...flags: string[]): Promise<void> {
    await this.endKeeper();
    const listened = this.count(LISTENS);
    this.keeper = this.spawnKeeper(...flags);
    await until('the next keeper listens', () => this.count(LISTENS) > listened);
  }

  /** Descriptors that the keeper of now was given. */
  keptSinceListening(): number {
    const { lines } = this;
    const since = lines.slice(lines.findLastIndex((line) => LISTENS.test(line)));
    return since.filter((line) => /: keeps (bulk-)?(tun|udp)-/.test(line)).length;
  }

  /** Another process that wants what is kept; it does not wait. */
  runBeside(...command: string[]): Promise<RunResult> {
    const words = ['run', `--socket=${this.file('notify')}`, '--wait=0s', '--', ...command];
    return this.node.namespace.exec(KEEPER, words, { allowFailure: true });
  }

  /** The daemon alone ends, for good. */
  async end(signal: NodeJS.Signals): Promise<void> {
    this.isStopping = true;
    this.process?.signal(signal);
    await this.process?.waitForEnd(10_000);
  }

  /** The daemon first, then the keeper, which lets go. */
  async stop(): Promise<void> {
    this.isStopping = true;
    await this.process?.stop(10_000);
    await this.keeper.stop(10_000);
  }
}
