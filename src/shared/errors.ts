/** Operating errors: what failed, where, and what to do. Programmer errors are plain Errors and crash. */

/** Exit codes (sysexits.h where one fits); see docs/operations/exit-codes.md. */
export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  /** the store can't be used (sysexits EX_UNAVAILABLE) */
  unavailable: 69,
  internal: 70,
  /** the operating system lacks something: /dev/net/tun, a command, a free port */
  os: 71,
  /** what it started with holds no more (sysexits EX_TEMPFAIL): start it again */
  again: 75,
  noPermission: 77,
  config: 78,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/**
 * An error whose message a user can act on. `code` is stable; `exitCode` is what the program ends with; `options` names the flags of
 * weftd that the message speaks of ("iface"), the one to blame first. Programs decide by these, never by the message.
 */
export class WeftError extends Error {
  readonly code: string;
  readonly exitCode: ExitCode;
  readonly options: readonly string[];

  constructor(
    code: string,
    exitCode: ExitCode,
    message: string,
    cause?: unknown,
    options: readonly string[] = [],
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'WeftError';
    this.code = code;
    this.exitCode = exitCode;
    this.options = options;
  }
}

/** The text of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What of the system ran out, and what to do; by the code of the error. */
const SHORTAGES: Readonly<Record<string, string>> = {
  EMFILE: 'this process may not open more files; raise LimitNOFILE= of the unit, or "ulimit -n"',
  ENFILE: 'this machine may not open more files; raise the sysctl fs.file-max',
  ENOMEM: 'not enough memory; raise MemoryMax= of the unit, or the limit of the container',
  ENOSPC: 'no space is left; free some',
  ERR_WORKER_INIT_FAILED:
    'no thread could be started; raise LimitNOFILE= and TasksMax= of the unit, or "ulimit -n"',
  ERR_WORKER_OUT_OF_MEMORY: 'not enough memory for a thread; raise MemoryMax= of the unit',
};

/** The text of an error, and what to do where something of the system ran out. */
export function advisedMessageOf(error: unknown): string {
  const code = String((error as { code?: unknown } | null | undefined)?.code);
  const advice = Object.hasOwn(SHORTAGES, code) ? SHORTAGES[code] : undefined;
  return advice === undefined ? messageOf(error) : `${messageOf(error)}: ${advice}`;
}

/** An error of the operating system or of its limits, which is nobody's bug; undefined for any other. */
export function systemErrorOf(error: unknown): WeftError | undefined {
  const { code, syscall } = (error ?? {}) as { code?: unknown; syscall?: unknown };
  const isOfSystem = typeof code === 'string' && (syscall !== undefined || code in SHORTAGES);
  if (!isOfSystem) return undefined;
  return new WeftError('ERR_SYSTEM', EXIT.os, advisedMessageOf(error), error);
}
