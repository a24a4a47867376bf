/** Debian packages that are unpacked into a folder of the build, because installing them would start a service or touch the machine. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../lab/command.ts';
import { projectRoot } from '../../src/shared/root.ts';

const FETCH_MS = 300_000;

export class Unpacked {
  readonly #suite: string;
  readonly #packages: readonly string[];

  constructor(suite: string, packages: readonly string[]) {
    this.#suite = suite;
    this.#packages = packages;
  }

  /** Fetches and unpacks them unless that was done before. Throws when they can't be had. */
  async fetch(): Promise<void> {
    if (existsSync(this.#versionsFile)) return;
    mkdirSync(this.folder, { recursive: true });
    const script = join(projectRoot(), 'bench/net/unpack.mjs');
    const args = [script, this.#suite, this.folder, ...this.#packages];
    const { stdout } = await run(process.execPath, args, { timeoutMs: FETCH_MS });
    writeFileSync(this.#versionsFile, stdout); // last: it says that all is there
  }

  get folder(): string {
    return join(projectRoot(), 'native/build/debian', [this.#suite, ...this.#packages].join('-'));
  }

  /** Path of a file of the packages: usr/bin/ab. */
  program(name: string): string {
    return join(this.folder, name);
  }

  /** Where their libraries are, for LD_LIBRARY_PATH. */
  get libraries(): string {
    const folder = join(this.folder, 'usr/lib');
    const ofMachine = readdirSync(folder).find((name) => name.includes('-linux-gnu'));
    return join(folder, ofMachine ?? '');
  }

  /** Debian's version of a package; "unknown" before `fetch`. */
  versionOf(name: string): string {
    if (!existsSync(this.#versionsFile)) return 'unknown';
    const lines = readFileSync(this.#versionsFile, 'utf8').split('\n');
    return lines.find((line) => line.startsWith(`${name} `))?.split(' ')[1] ?? 'unknown';
  }

  get #versionsFile(): string {
    return join(this.folder, 'versions');
  }
}
