/** Files of /proc and /sys. */
import { readFile } from 'node:fs/promises';

/** A file of /proc or /sys without its line end; undefined when it is not there. */
export async function readKernel(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').then(
    (text) => text.trim(),
    () => undefined,
  );
}
