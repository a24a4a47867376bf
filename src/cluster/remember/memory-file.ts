/** The file in which a node keeps what it knows: read with suspicion, written seldom, and never a reason to fail. */
import { constants, type Stats } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import type { Clock, Timer } from '../../shared/clock.ts';
import { messageOf } from '../../shared/errors.ts';
import { writeFileAtomically } from '../../shared/files.ts';
import { MEMORY_BYTES_MAX } from '../../shared/limits.ts';
import type { PlainLog } from '../../shared/repeats.ts';
import { decodeMemory, encodeMemory, type Memory } from './memory.ts';

export const MEMORY_FILE = 'memory.json';
/** Nobody else reads it. */
const MODE = 0o600;
const WRITABLE_BY_OTHERS = 0o022;
/** Between two writes: what changes all the time must not wear out a card. */
export const WRITE_GAP_MS = 10_000;
/** A file that takes long to make and to write is written seldomer: at most this share of the time goes into it. */
const WRITE_SHARE = 0.01;

export class MemoryFile {
  private readonly file: string;
  private readonly log: PlainLog;
  private readonly clock: Clock;
  private wanted: Memory | undefined;
  private timer: Timer | undefined;
  private writing: Promise<void> | undefined;
  private writtenAtMs = Number.NEGATIVE_INFINITY;
  private gapMs = WRITE_GAP_MS;
  private hasFailed = false;

  constructor(folder: string, log: PlainLog, clock: Clock) {
    this.file = path.join(folder, MEMORY_FILE);
    this.log = log;
    this.clock = clock;
  }

  /** undefined where there is none, or none that can be trusted; the log says why. */
  async read(): Promise<Memory | undefined> {
    const found = await readMemory(this.file);
    if (typeof found !== 'string') return found;
    this.log.warn(`${this.file} is not used: ${found}`);
    return undefined;
  }

  /** Writes it, soon; the newest that was offered when the time has come. */
  offer(memory: Memory): void {
    this.wanted = memory;
    if (this.timer || this.writing !== undefined) return;
    const waitMs = this.writtenAtMs + this.gapMs - this.clock.monotonicMs();
    if (waitMs <= 0) this.begin();
    else this.timer = this.clock.after(waitMs, () => this.begin());
  }

  /** Writes what waits. */
  async close(): Promise<void> {
    this.timer?.stop();
    await this.writing;
    this.timer?.stop();
    if (this.wanted) await this.write(this.wanted);
  }

  private begin(): void {
    this.timer = undefined;
    const { wanted } = this;
    if (!wanted) return;
    this.writing = this.write(wanted).then(() => {
      this.writing = undefined;
      if (this.wanted) this.offer(this.wanted);
    });
  }

  /** What fails is said once, and tried again with the next change. */
  private async write(memory: Memory): Promise<void> {
    this.wanted = undefined;
    const startedMs = performance.now();
    try {
      const { of, savedAtMs, config, own, others } = memory;
      const bytes = await encodeMemory({ of, savedAtMs, config, own, others });
      if (bytes.length > MEMORY_BYTES_MAX) throw new Error(`${bytes.length} bytes are too many`);
      await writeFileAtomically(this.file, bytes, MODE);
      if (this.hasFailed) this.log.info(`${this.file} is written again`);
      this.hasFailed = false;
    } catch (error) {
      if (!this.hasFailed)
        this.log.warn(
          `${this.file} can't be written: ${messageOf(error)}; without it this node can't start while its store is unavailable`,
        );
      this.hasFailed = true;
    }
    this.gapMs = Math.max(WRITE_GAP_MS, (performance.now() - startedMs) / WRITE_SHARE);
    this.writtenAtMs = this.clock.monotonicMs();
  }
}

/** What a file of this user remembers, or why it is not trusted; undefined where there is none. Never throws. */
export async function readMemory(
  file: string,
  owner = process.geteuid?.(),
): Promise<Memory | string | undefined> {
  try {
    const handle = await open(
      file,
      constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
    );
    try {
      return (
        whyNotTrusted(await handle.stat(), owner) ?? decodeMemory(await handle.readFile('utf8'))
      );
    } finally {
      await handle.close();
    }
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? undefined : messageOf(error);
  }
}

function whyNotTrusted(stat: Stats, owner: number | undefined): string | undefined {
  const { uid, mode, size } = stat;
  if (!stat.isFile()) return 'it is not a regular file';
  if (uid !== owner) return `it belongs to user ${uid}`;
  if ((mode & WRITABLE_BY_OTHERS) !== 0)
    return `others may write it (mode ${(mode & 0o777).toString(8)}); remove it, or "chmod 600" when you trust it`;
  if (size > MEMORY_BYTES_MAX) return `${size} bytes are too many`;
  return undefined;
}
