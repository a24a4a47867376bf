/** Small files of a folder that others write, maybe of a network file system: many are looked at in one piece of work (native/files.c). */
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import { type FileLook, loadAddon } from '../../memory/addon.ts';
import { STORE_VALUE_BYTES_MAX } from '../../shared/limits.ts';

/** A file that is there. */
export interface SmallFile {
  /** another one whenever the file was replaced or written: writers give a new file its name */
  stamp: string;
  modifiedMs: number;
  /** undefined: not asked for, too long, or no regular file (links and devices are not followed) */
  text: string | undefined;
}

/** As the file system answered for one file; {@link foundIn} throws what it said. */
export interface Looked {
  file: string;
  look: FileLook;
}

/** One answer for each file, in their order. */
export async function lookAt(
  files: readonly string[],
  read: 'with text' | 'without text',
): Promise<Looked[]> {
  const bytesMax = read === 'with text' ? STORE_VALUE_BYTES_MAX : 0;
  const looks = await loadAddon().lookAtFiles(files, bytesMax);
  return looks.map((look, i) => ({ file: files[i] as string, look }));
}

/** undefined where there is no file. Throws an error as Node's, with `code`. */
export function foundIn({ file, look }: Looked): SmallFile | undefined {
  const { errno, stamp = '', modifiedMs = 0, text } = look;
  if (errno === undefined) return { stamp, modifiedMs, text };
  if (-errno === constants.errno.ENOENT) return undefined;
  const [code, message] = getSystemErrorMap().get(errno) ?? [`errno ${-errno}`, 'unknown error'];
  throw Object.assign(new Error(`${code}: ${message}, open '${file}'`), { code, errno });
}

/** Text of a small regular file; undefined if there is none. */
export async function readSmall(file: string): Promise<string | undefined> {
  const [looked] = await lookAt([file], 'with text');
  return looked && foundIn(looked)?.text;
}
