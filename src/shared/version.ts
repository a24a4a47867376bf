/** The program's version: the one in package.json. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { projectRoot } from './root.ts';

export function programVersion(): string {
  const text = readFileSync(path.join(projectRoot(), 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
