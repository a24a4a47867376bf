/**
 * The clock that stamps the files of a folder: the kernel's, or on a network file system the server's. Nodes whose own clocks differ
 * agree on it, so it decides when a lease ends. Read from a file just written, carried on by a clock that nobody can set.
 */
import { stat } from 'node:fs/promises';

/** A clock that nobody sets still drifts, and stands still while the machine sleeps. */
const TRUST_MS = 60_000;

export class FileClock {
  /** the files' time and ours at the last reading */
  private readMs = Number.NaN;
  private readAtMs = Number.NaN;
  private readonly writeFile: () => Promise<string>;
  private readonly removeFile: (file: string) => Promise<void>;

  /** `writeFile` makes a new file in the folder and returns its name. */
  constructor(writeFile: () => Promise<string>, removeFile: (file: string) => Promise<void>) {
    this.writeFile = writeFile;
    this.removeFile = removeFile;
  }

  /** A file that this process has just written, or given a name. */
  async learnFrom(file: string): Promise<void> {
    const { ctimeMs } = await stat(file);
    this.readMs = ctimeMs;
    this.readAtMs = performance.now();
  }

  /** The files' clock, ms since the epoch. Where nothing can be written, our own. */
  async nowMs(): Promise<number> {
    const isTrusted = performance.now() - this.readAtMs < TRUST_MS;
    if (!isTrusted) await this.read().catch(() => undefined);
    if (Number.isNaN(this.readMs)) return Date.now();
    return this.readMs + (performance.now() - this.readAtMs);
  }

  private async read(): Promise<void> {
    const file = await this.writeFile();
    try {
      await this.learnFrom(file);
    } finally {
      await this.removeFile(file);
    }
  }
}
