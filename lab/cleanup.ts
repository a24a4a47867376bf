/** A stack of things to undo, in reverse order, whatever happens on the way. */
import { constants } from 'node:os';
import { messageOf } from '../src/shared/errors.ts';
import { endRunningCommands } from './command.ts';

interface Entry {
  what: string;
  undo: () => unknown;
}

/** Several labs may run side by side; none may be forgotten when the process ends. */
const listening = new Set<Cleanup>();

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

function closeAll(signal: (typeof SIGNALS)[number]): void {
  void Promise.all([...listening].map((cleanup) => cleanup.close())).then(() =>
    process.exit(128 + constants.signals[signal]),
  );
}

/** Collects undo actions; register one *before* making the thing, and let the undo tolerate that it is not there. */
export class Cleanup {
  readonly #entries: Entry[] = [];
  #closing: Promise<string[]> | undefined;

  /** True once the clean-up has begun, by a signal or by close(). */
  get begun(): boolean {
    return this.#closing !== undefined;
  }

  /** Adds an action. Throws once the clean-up has begun, so that nothing new is made behind it. */
  defer(what: string, undo: () => unknown): void {
    if (this.begun) throw new Error(`the lab is being taken down: ${what} comes too late`);
    this.#entries.push({ what, undo });
  }

  /** Undoes everything, newest first, once; later calls wait for the same run. Returns what failed. */
  close(): Promise<string[]> {
    this.#closing ??= this.#undoAll();
    return this.#closing;
  }

  /** Forgets everything: the resources stay. */
  release(): void {
    this.#entries.length = 0;
    this.#stopListening();
  }

  /** From now on SIGINT, SIGTERM and SIGHUP undo everything (of all labs of this process) and end it with 128 + signal. */
  closeOnSignals(): void {
    if (listening.size === 0) for (const signal of SIGNALS) process.on(signal, closeAll);
    listening.add(this);
  }

  #stopListening(): void {
    listening.delete(this);
    if (listening.size === 0) for (const signal of SIGNALS) process.off(signal, closeAll);
  }

  async #undoAll(): Promise<string[]> {
    const failures: string[] = [];
    await endRunningCommands();
    for (let entry = this.#entries.pop(); entry; entry = this.#entries.pop()) {
      try {
        await entry.undo();
      } catch (error) {
        failures.push(`${entry.what}: ${messageOf(error)}`);
      }
    }
    this.#stopListening();
    return failures;
  }
}
