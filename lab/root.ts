/** Where the lab finds the program it drives and its own helper programs. */
import path from 'node:path';
import { projectRoot } from '../src/shared/root.ts';

/** An executable of the project: "weftd", "weft". */
export function projectBinary(name: string): string {
  return path.join(projectRoot(), 'bin', name);
}

/** A compiled helper program of the lab, to be run with this Node. */
export function labProgram(name: string): string {
  return path.join(import.meta.dirname, 'programs', `${name}.js`);
}
