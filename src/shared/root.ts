/** Where the program lies. */
import { existsSync } from 'node:fs';
import path from 'node:path';

/** Folder that holds package.json, found upwards from this file (works from src/ and from dist/). */
export function projectRoot(): string {
  let folder = import.meta.dirname;
  while (!existsSync(path.join(folder, 'package.json'))) {
    const parent = path.dirname(folder);
    if (parent === folder) throw new Error('weft: package.json not found above the program files');
    folder = parent;
  }
  return folder;
}
