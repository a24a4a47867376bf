/** Network namespaces of one lab, all under one unique prefix, all undone by the lab's clean-up. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cleanup } from './cleanup.ts';
import { type RunOptions, type RunResult, run } from './command.ts';
import { LabProcess, type ProcessOptions } from './process.ts';
import { deleteRecord, listRecords, sweepLeftovers, writeRecord } from './record.ts';

/** What belongs to one lab: name prefix, temporary directory, clean-up stack. */
export class LabScope {
  readonly prefix: string;
  readonly tempDir: string;
  readonly cleanup = new Cleanup();

  private constructor(prefix: string, tempDir: string) {
    this.prefix = prefix;
    this.tempDir = tempDir;
  }

  /** Removes what killed labs left, then opens a fresh scope that also closes on SIGINT and SIGTERM. */
  static async open(): Promise<LabScope> {
    await sweepLeftovers();
    const taken = new Set(listRecords().map((record) => record.prefix));
    let prefix: string;
    do prefix = `weft-${randomBytes(2).toString('hex')}`;
    while (taken.has(prefix));
    const scope = new LabScope(prefix, mkdtempSync(join(tmpdir(), 'weft-lab-')));
    scope.cleanup.closeOnSignals();
    writeRecord(prefix, scope.tempDir, false);
    scope.cleanup.defer('record', () => deleteRecord(prefix));
    scope.cleanup.defer('temporary directory', () =>
      rmSync(scope.tempDir, { recursive: true, force: true }),
    );
    return scope;
  }

  /** Creates the namespace `<prefix>-<name>` with lo up. */
  async namespace(name: string): Promise<Namespace> {
    const full = `${this.prefix}-${name}`;
    this.cleanup.defer(`namespace ${full}`, () =>
      run('ip', ['netns', 'delete', full], { allowFailure: true }),
    );
    await run('ip', ['netns', 'add', full]);
    const namespace = new Namespace(full, this.cleanup);
    await namespace.ip('link', 'set', 'lo', 'up');
    return namespace;
  }

  /** Gives the network namespace of a running process a name of this lab. */
  async attach(name: string, pid: number): Promise<Namespace> {
    const full = `${this.prefix}-${name}`;
    this.cleanup.defer(`namespace ${full}`, () =>
      run('ip', ['netns', 'delete', full], { allowFailure: true }),
    );
    await run('ip', ['netns', 'attach', full, String(pid)]);
    return new Namespace(full, this.cleanup);
  }

  /** Takes everything down; returns what could not be undone. */
  close(): Promise<string[]> {
    return this.cleanup.close();
  }

  /** Leaves everything as it is; a later sweep does not touch it, `removeLab` does. */
  keep(): void {
    writeRecord(this.prefix, this.tempDir, true);
    this.cleanup.release();
  }
}

/** One network namespace. */
export class Namespace {
  readonly name: string;
  readonly #cleanup: Cleanup;

  constructor(name: string, cleanup: Cleanup) {
    this.name = name;
    this.#cleanup = cleanup;
  }

  /** Runs a command inside to its end. */
  exec(command: string, args: readonly string[], options?: RunOptions): Promise<RunResult> {
    return run('ip', ['netns', 'exec', this.name, command, ...args], options);
  }

  /** Starts a process inside; the clean-up ends it if nobody did before. */
  spawn(command: string, args: readonly string[], options?: ProcessOptions): LabProcess {
    let started: LabProcess | undefined;
    this.#cleanup.defer(`${command} in ${this.name}`, () => started?.stop());
    started = new LabProcess('ip', ['netns', 'exec', this.name, command, ...args], options);
    return started;
  }

  /** `ip -n <namespace> ...`, cheaper than an exec. */
  ip(...args: string[]): Promise<RunResult> {
    return run('ip', ['-n', this.name, ...args]);
  }

  /** Sets sysctls inside; keys with slashes, because device names hold dots. */
  async sysctl(values: Readonly<Record<string, string | number>>): Promise<void> {
    const settings = Object.entries(values).map(([key, value]) => `${key}=${value}`);
    await this.exec('sysctl', ['-qw', ...settings]);
  }
}
