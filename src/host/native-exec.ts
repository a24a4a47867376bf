/**
 * Host commands without Node's fork(): that copies the page tables of the whole process and stands still meanwhile, with 500 MB in use
 * for tens of ms. What comes back, errors too, is what Node's execFile gives.
 */
import { accessSync, constants, existsSync } from 'node:fs';
import { Socket } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Addon, Ended, Spawned } from '../memory/addon.ts';
import type { Runner, Surroundings } from './exec.ts';

type Starter = Pick<Addon, 'spawn' | 'reap'>;

/** How long a command may be over before we notice, when it closed its outputs first. */
const REAP_WAIT_MS_MAX = 50;

export function nativeRunner(addon: Starter): Runner {
  return async (command, args, input, surroundings) => {
    const { pid, ...ends } = start(addon, command, args, surroundings);
    let excess: Error | undefined;
    let killed = false;
    const kill = (): void => {
      killed = true;
      for (const each of [stdout, stderr]) each.close();
      // It has not been reaped: the number is its own.
      process.kill(pid, 'SIGTERM');
    };
    const overflow = (error: Error): void => {
      excess = error;
      kill();
    };
    const stdout = new Output('stdout', ends.stdout, surroundings.maxBuffer, overflow);
    const stderr = new Output('stderr', ends.stderr, surroundings.maxBuffer, overflow);
    const stdin = new Socket({ fd: ends.stdin, readable: false });
    const written = closed(stdin);
    // A command that ends without reading breaks the pipe; what it says about that comes with its exit.
    stdin.on('error', () => undefined).end(input ?? '');
    const timer = setTimeout(kill, surroundings.timeout);
    await Promise.all([stdout.closed, stderr.closed]);
    const ended = await reaped(addon, pid);
    clearTimeout(timer);
    stdin.destroy();
    await written;
    if (!excess && ended.code === 0 && ended.signal === 0) return stdout.text;
    const cmd = [command, ...args].join(' ');
    const said = { cmd, stdout: stdout.text, stderr: stderr.text };
    throw Object.assign(excess ?? failure(cmd, stderr.text, ended, killed), said);
  };
}

/** Throws as Node does when a process can't be started: `code` (ENOENT: there is no such command), "spawn ip ENOENT". */
function start(
  addon: Starter,
  command: string,
  args: readonly string[],
  { env }: Surroundings,
): Spawned {
  const environment = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  try {
    return addon.spawn(fileOf(command, env.PATH), [command, ...args], environment);
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (syscall !== undefined) (error as Error).message = `spawn ${command} ${code}`;
    throw error;
  }
}

/** The first in the search path that can be run; else the first that is there, or would be, so that the error is about it. */
function fileOf(command: string, searchPath: string): string {
  if (command.includes('/')) return command;
  const files = searchPath.split(':').map((folder) => path.join(folder, command));
  return files.find(canBeRun) ?? files.find((file) => existsSync(file)) ?? (files[0] as string);
}

function canBeRun(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** What a command writes to one of its outputs, up to a limit. */
class Output {
  readonly closed: Promise<void>;
  private readonly socket: Socket;
  private readonly parts: string[] = [];
  private bytes = 0;

  /** `overflow` is called once, when it wrote more than `bytesMax`; what is below stays. */
  constructor(name: string, fd: number, bytesMax: number, overflow: (error: Error) => void) {
    this.socket = new Socket({ fd, writable: false });
    this.closed = closed(this.socket);
    this.socket.on('error', () => undefined);
    this.socket.setEncoding('utf8').on('data', (part: string) => {
      const before = this.bytes;
      this.bytes += Buffer.byteLength(part);
      if (this.bytes <= bytesMax) this.parts.push(part);
      else {
        this.parts.push(part.slice(0, bytesMax - before));
        overflow(tooLarge(name));
      }
    });
  }

  get text(): string {
    return this.parts.join('');
  }

  close(): void {
    this.socket.destroy();
  }
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('close', () => resolve());
  });
}

/** Most commands close their outputs by ending, so it is there at the first or second look. */
async function reaped(addon: Starter, pid: number): Promise<Ended> {
  for (let ms = 1; ; ms = Math.min(2 * ms, REAP_WAIT_MS_MAX)) {
    const ended = addon.reap(pid);
    if (ended) return ended;
    await wait(ms);
  }
}

/** Of Node's wording, as all that follows. */
function tooLarge(name: string): Error {
  const error = new RangeError(`${name} maxBuffer length exceeded`);
  return Object.assign(error, { code: 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER' });
}

function failure(cmd: string, stderr: string, { code, signal }: Ended, killed: boolean): Error {
  const error = new Error(`Command failed: ${cmd}${stderr === '' ? '' : `\n${stderr}`}`);
  return signal === 0
    ? Object.assign(error, { code, killed, signal: null })
    : Object.assign(error, { code: null, killed, signal: nameOf(signal) });
}

function nameOf(signal: number): string | null {
  const found = Object.entries(os.constants.signals).find(([, number]) => number === signal);
  return found?.[0] ?? null;
}
