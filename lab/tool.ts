/** Small C programs of native/tools, compiled when they are first needed. */
import { existsSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../src/shared/root.ts';
import { run } from './command.ts';

const FLAGS = ['-O2', '-std=c17', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Werror'];

/** Compiles native/tools/<name>.c unless that was done before; returns the program's path. `flags` of a library: -shared -fPIC. */
export async function buildTool(name: string, flags: readonly string[] = []): Promise<string> {
  const source = join(projectRoot(), 'native/tools', `${name}.c`);
  const program = join(projectRoot(), 'native/build', name);
  if (existsSync(program) && statSync(program).mtimeMs > statSync(source).mtimeMs) return program;
  mkdirSync(join(projectRoot(), 'native/build'), { recursive: true });
  // Another process may be running the old program or compiling as well: the name is given to a whole file.
  const draft = `${program}.${process.pid}`;
  await run('cc', [...FLAGS, ...flags, source, '-o', draft], { timeoutMs: 60_000 });
  renameSync(draft, program);
  return program;
}
