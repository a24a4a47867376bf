/** Runs operating system commands for the lab: argument lists only, no shell, bounded in time. */
import { type ChildProcess, execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { DEBIAN_PACKAGES } from '../src/host/exec.ts';
import { EXIT, WeftError } from '../src/shared/errors.ts';

export interface RunOptions {
  /** default 15 s; then the command gets SIGKILL and the call throws */
  timeoutMs?: number;
  /** return the exit code instead of throwing when it is not 0 */
  allowFailure?: boolean;
  /** what the command reads from standard input */
  input?: string;
}

export interface RunResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** Which Debian package brings a command: the daemon's, and what else the lab needs. */
const PACKAGES: Readonly<Record<string, string>> = {
  ...DEBIAN_PACKAGES,
  bridge: 'iproute2',
  tc: 'iproute2',
  ping: 'iputils-ping',
  iperf3: 'iperf3',
  sysctl: 'procps',
  etcd: 'etcd-server',
  etcdctl: 'etcd-client',
  openssl: 'openssl',
  debootstrap: 'debootstrap',
  'systemd-nspawn': 'systemd-container',
  nsenter: 'util-linux',
  buildah: 'buildah',
  tcpdump: 'tcpdump',
};

/** What every lab needs; the others only where they are asked for. */
const ALWAYS = ['ip', 'bridge', 'tc', 'ping', 'iperf3', 'ethtool', 'sysctl'];

const running = new Map<ChildProcess, Promise<void>>();

/** Runs a command to its end. Throws with its error output unless it exits with 0 (or `allowFailure`). */
export async function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const result = await execute(command, args, options.timeoutMs ?? 15_000, options.input);
  if (result.code !== 0 && !options.allowFailure) throw commandFailed(command, args, result);
  return result;
}

/** Ends every command still running and waits for it: after this nothing half-done appears behind a clean-up. */
export async function endRunningCommands(): Promise<void> {
  const ends = [...running.values()];
  for (const child of running.keys()) child.kill('SIGKILL');
  await Promise.all(ends);
}

/** Throws (exit 71) when a command that the lab needs is not installed, and says which package brings it. */
export function requireCommands(names: readonly string[] = ALWAYS): void {
  const missing = names.filter((name) => !isInstalled(name));
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((name) => PACKAGES[name] ?? name))];
  throw new WeftError(
    'ERR_COMMAND_MISSING',
    EXIT.os,
    `missing command: ${missing.join(', ')}; install the Debian package: apt-get install ${packages.join(' ')}`,
  );
}

/** True when the process may make network namespaces and devices. */
export function isRoot(): boolean {
  return process.geteuid?.() === 0;
}

/** Throws (exit 77) unless the process may make network namespaces. */
export function requireRoot(): void {
  if (isRoot()) return;
  throw new WeftError(
    'ERR_NOT_ROOT',
    EXIT.noPermission,
    'network namespaces and TUN devices need root: run it again as root',
  );
}

/** True when the command is in PATH or an sbin folder. */
export function isInstalled(name: string): boolean {
  const folders = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`.split(':').filter(Boolean);
  return folders.some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Where commands are looked for: sbin is not in every root's PATH. */
export function commandEnvironment(): NodeJS.ProcessEnv {
  const path = `${process.env['PATH'] ?? '/usr/bin:/bin'}:/usr/sbin:/sbin`;
  return { ...process.env, PATH: path, LC_ALL: 'C' };
}

function execute(
  command: string,
  args: readonly string[],
  timeout: number,
  input?: string,
): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const settings = {
      timeout,
      killSignal: 'SIGKILL' as const,
      maxBuffer: 64 << 20,
      env: commandEnvironment(),
    };
    const child = execFile(command, [...args], settings, (error, stdout, stderr) => {
      if (!error) resolve({ code: 0, stdout, stderr });
      else if (error.code === 'ENOENT') reject(missingCommand(command));
      else if (error.killed || typeof error.code !== 'number')
        reject(
          commandFailed(command, args, { code: -1, stdout, stderr }, ended(error.signal, timeout)),
        );
      else resolve({ code: error.code, stdout, stderr });
    });
    running.set(child, closed(child));
    child.stdin?.on('error', () => undefined).end(input); // a command need not read what it is given
  });
}

function closed(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      running.delete(child);
      resolve();
    };
    child.once('close', done);
    child.once('error', done);
  });
}

function ended(signal: NodeJS.Signals | null | undefined, timeout: number): string {
  return `ended by ${signal ?? 'an error'} (limit ${timeout} ms)`;
}

function missingCommand(command: string): WeftError {
  const name = PACKAGES[command] ?? command;
  return new WeftError(
    'ERR_COMMAND_MISSING',
    EXIT.os,
    `missing command: ${command} (Debian package ${name})`,
  );
}

function commandFailed(
  command: string,
  args: readonly string[],
  result: RunResult,
  why?: string,
): WeftError {
  const reason = why ?? `exit code ${result.code}`;
  const output = (result.stderr || result.stdout).trim().split('\n').slice(-5).join('\n  ');
  const line = [command, ...args].join(' ');
  return new WeftError('ERR_COMMAND_FAILED', EXIT.failure, `${line}: ${reason}\n  ${output}`);
}
