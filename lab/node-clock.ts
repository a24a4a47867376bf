/** The wall clock of one daemon, moved while it runs: native/tools/clock.c in front of the C library. */
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { buildTool } from './tool.ts';

export class NodeClock {
  readonly #file: string;
  readonly #library: string;

  private constructor(file: string, library: string) {
    this.#file = file;
    this.#library = library;
  }

  /** `file` is made, and must stay for as long as daemons use it. */
  static async create(file: string): Promise<NodeClock> {
    writeFileSync(file, Buffer.alloc(8));
    return new NodeClock(file, await buildTool('clock', ['-shared', '-fPIC']));
  }

  /** What a daemon must be started with. */
  get environment(): Record<string, string> {
    return { LD_PRELOAD: this.#library, WEFT_CLOCK_FILE: this.#file };
  }

  /** From now on the clock is this much off the machine's; at once, in place, as the daemon has it mapped. */
  move(offsetSeconds: number): void {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(offsetSeconds));
    const fd = openSync(this.#file, 'r+');
    writeSync(fd, bytes, 0, bytes.length, 0);
    closeSync(fd);
  }
}
