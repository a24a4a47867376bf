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
