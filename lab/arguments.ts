/** The command lines of what developers start: demo, soak, benchmarks. */
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { EXIT, messageOf, WeftError } from '../src/shared/errors.ts';

/** Flags and positionals as node:util finds them, strictly; throws {@link usage} with what it refuses. */
export function readArguments<
  const T extends Pick<ParseArgsConfig, 'options' | 'allowPositionals'>,
>(args: readonly string[], wanted: T): ReturnType<typeof parseArgs<T & { args: string[] }>> {
  try {
    return parseArgs({ ...wanted, args: [...args] });
  } catch (error) {
    throw usage(messageOf(error).split('. ')[0] as string);
  }
}

/** A command line that can't be used; exit 2. */
export function usage(message: string): WeftError {
  return new WeftError('ERR_USAGE', EXIT.usage, `${message}; --help shows the options`);
}
