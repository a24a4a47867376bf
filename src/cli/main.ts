/** weft: asks the running daemon through its admin socket. Exit codes: 0 ok, 1 unhealthy or failed, 2 not reachable, 64 usage. */
import { CommanderError } from 'commander';
import { messageOf, WeftError } from '../shared/errors.ts';
import { printableLines } from '../shared/printable.ts';
import { writeStderr } from '../shared/stderr.ts';
import { createProgram } from './commands/all.ts';

const EXIT_USAGE = 64;

/** Runs one command; the result is the exit code. */
export async function main(words: readonly string[]): Promise<number> {
  let code = 0;
  // A reader that has seen enough (weft peers | head) is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    process.exit(error.code === 'EPIPE' ? code : 1);
  });
  const program = createProgram((exitCode) => {
    code = exitCode;
  });
  try {
    await program.parseAsync([...words], { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
    // Some messages are lists; foreign text has no lines any more when it enters one.
    writeStderr(`weft: ${printableLines(messageOf(error))}\n`);
    return error instanceof WeftError ? error.exitCode : 1;
  }
}
