/** One long-running process of the lab: started without a shell, ended by its id. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { commandEnvironment } from './command.ts';

/** A bound for a machine that does other things as well. */
const OUTPUT_MS = 60_000;

export interface ProcessOptions {
  /** Output goes to this file and the process may outlive us; without it output is kept in memory. */
  logFile?: string;
  /** variables besides the lab's own */
  environment?: Readonly<Record<string, string>>;
}

/** A started process. `ip netns exec` replaces itself by the command, so `pid` is the command's own. */
export class LabProcess {
  readonly #child: ChildProcess;
  readonly #logFile: string | undefined;
  readonly #ended: Promise<void>;
  #output = '';
  #exit: string | undefined;

  constructor(command: string, args: readonly string[], options: ProcessOptions = {}) {
    this.#logFile = options.logFile;
    const log = options.logFile === undefined ? 'pipe' : openSync(options.logFile, 'a');
    // A group of its own: Ctrl-C on the terminal reaches only the lab, which ends its processes in order.
    this.#child = spawn(command, [...args], {
      stdio: ['ignore', log, log],
      detached: true,
      env: { ...commandEnvironment(), ...options.environment },
    });
    if (typeof log === 'number') closeSync(log);
    this.#ended = this.#watchEnd();
    this.#collect();
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** How it ended ("exit code 1", "signal SIGKILL"); undefined while it runs. */
  get exit(): string | undefined {
    return this.#exit;
  }

  /** Everything it printed; for a log file also what earlier processes wrote there. */
  get output(): string {
    if (this.#logFile === undefined) return this.#output;
    try {
      return readFileSync(this.#logFile, 'utf8');
    } catch {
      return '';
    }
  }

  /** The last lines of its output, for error messages. */
  lastLines(count = 15): string {
    return this.output.trimEnd().split('\n').slice(-count).join('\n');
  }

  /** Waits until the output matches; throws with the last lines when it ends first or takes too long: how fast a program is nobody judges here. */
  async waitForOutput(pattern: RegExp, timeoutMs = OUTPUT_MS): Promise<RegExpMatchArray> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const match = this.output.match(pattern);
      if (match) return match;
      if (this.#exit !== undefined)
        throw new Error(`ended too early (${this.#exit}): ${this.lastLines()}`);
      if (Date.now() > deadline)
        throw new Error(`no ${pattern} in ${timeoutMs} ms: ${this.lastLines()}`);
      await sleep(10);
    }
  }

  /** Waits for its end; throws when it takes too long. */
  async waitForEnd(timeoutMs: number): Promise<void> {
    if (!(await this.#endsWithin(timeoutMs)))
      throw new Error(`still running after ${timeoutMs} ms`);
  }

  signal(name: NodeJS.Signals): void {
    if (this.#exit === undefined) this.#child.kill(name);
  }

  /** SIGTERM, and SIGKILL if that does not end it in time. */
  async stop(graceMs = 5000): Promise<void> {
    this.signal('SIGTERM');
    if (await this.#endsWithin(graceMs)) return;
    await this.kill();
  }

  /** SIGKILL, no chance to tidy up. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.#endsWithin(5000);
  }

  async #endsWithin(timeoutMs: number): Promise<boolean> {
    if (this.#exit !== undefined) return true;
    const abort = new AbortController();
    const late = sleep(timeoutMs, false, { signal: abort.signal }).catch(() => false);
    const result = await Promise.race([this.#ended.then(() => true), late]);
    abort.abort();
    return result;
  }

  #watchEnd(): Promise<void> {
    return new Promise((resolve) => {
      this.#child.once('exit', (code, signal) => {
        this.#exit = signal ? `signal ${signal}` : `exit code ${code}`;
        resolve();
      });
      this.#child.once('error', (error) => {
        this.#exit ??= error.message;
        resolve();
      });
    });
  }

  #collect(): void {
    if (this.#logFile !== undefined) this.#child.unref();
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
      });
    }
  }
}
