/** Where the project lies, from the compiled lab's point of view. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The directory of package.json. */
export function projectRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error('package.json not found above the lab');
    folder = parent;
  }
  return folder;
}

/** An executable of the project: "weftd", "weft". */
export function projectBinary(name: string): string {
  return join(projectRoot(), 'bin', name);
}

/** A compiled helper program of the lab, to be run with this Node. */
export function labProgram(name: string): string {
  return join(dirname(fileURLToPath(import.meta.url)), 'programs', `${name}.js`);
}
