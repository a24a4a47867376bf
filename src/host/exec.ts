/** Runs host commands: no shell, fixed search path, empty environment, bounded time. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { advisedMessageOf, EXIT, messageOf, WeftError } from '../shared/errors.ts';
import { printable, SAID_CHARACTERS_MAX } from '../shared/printable.ts';

/** Which Debian package brings a command that the daemon runs. */
export const DEBIAN_PACKAGES: Readonly<Record<string, string>> = {
  ip: 'iproute2',
  nft: 'nftables',
  iptables: 'iptables',
  ip6tables: 'iptables',
  'iptables-restore': 'iptables',
  'ip6tables-restore': 'iptables',
};

/** `input` is what the command reads from standard input. */
export type Exec = (command: string, args: readonly string[], input?: string) => Promise<string>;

export interface Surroundings {
  env: Readonly<{ PATH: string; LC_ALL: string }>;
  /** ms until it gets SIGTERM */
  timeout: number;
  /** bytes of each output; with more it gets SIGTERM */
  maxBuffer: number;
}

/** How a process is started and followed to its end: resolves and rejects as Node's execFile does, with `stderr` in the error. */
export type Runner = (
  command: string,
  args: readonly string[],
  input: string | undefined,
  surroundings: Surroundings,
) => Promise<string>;

export const SURROUNDINGS: Surroundings = {
  env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
  timeout: 10_000,
  /** `ip -j` prints about 1 KiB per interface, and a busy node has thousands. */
  maxBuffer: 16 << 20,
};

const MISSING = 'ERR_COMMAND_MISSING';
const execute = promisify(execFile);

/** By Node, which copies the page tables of this process for it: {@link runCommandsBy} is for those that are large. */
export const runByNode: Runner = async (command, args, input, surroundings) => {
  const running = execute(command, args, surroundings);
  // A command that ends without reading breaks the pipe; what it says about that comes with its exit.
  running.child.stdin?.on('error', () => undefined).end(input);
  return (await running).stdout;
};

/** Runs commands in this way, with the errors of {@link exec}. */
export function execBy(run: Runner, surroundings = SURROUNDINGS): Exec {
  return async (command, args, input) => {
    try {
      return await run(command, args, input, surroundings);
    } catch (error) {
      throw commandError(command, args, error as { code?: unknown; stderr?: string });
    }
  };
}

let current = execBy(runByNode);

/**
 * stdout. Throws WeftError ERR_COMMAND with the command line and what it said, ERR_COMMAND_MISSING when the host does not have the
 * command.
 */
export const exec: Exec = (command, args, input) => current(command, args, input);

/** From now on, for the whole process. */
export function runCommandsBy(run: Runner): void {
  current = execBy(run);
}

function commandError(
  command: string,
  args: readonly string[],
  failure: { code?: unknown; stderr?: string },
): WeftError {
  const isMissing = failure.code === 'ENOENT';
  const said = isMissing
    ? `command not found; install it (Debian package ${DEBIAN_PACKAGES[command] ?? command})`
    : failure.stderr?.trim() || advisedMessageOf(failure).trim();
  const message = `${command} ${args.join(' ')}: ${printable(said, SAID_CHARACTERS_MAX)}`;
  return new WeftError(isMissing ? MISSING : 'ERR_COMMAND', EXIT.os, message, failure);
}

/** What {@link exec} would throw, with other words: for those who looked for several commands. */
export function missingCommand(message: string): WeftError {
  return new WeftError(MISSING, EXIT.os, message);
}

/** All that the command said when it failed with this error; the message has the beginning of it. */
export function saidWith(error: unknown): string {
  const { stderr } = ((error as WeftError).cause ?? {}) as { stderr?: unknown };
  return typeof stderr === 'string' && stderr !== '' ? stderr : messageOf(error);
}

/** Whether an error of {@link exec} says that the host does not have the command. */
export function isMissingCommand(error: unknown): boolean {
  return error instanceof WeftError && error.code === MISSING;
}
