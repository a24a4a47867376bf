/** What a command and the daemon take before they do anything: joined as they are installed, and as one module after another. */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { projectRoot } from '../../../src/shared/root.ts';
import type { Case, Work } from '../case.ts';

/** Program, and the module it is compiled from. */
const PROGRAMS = [
  ['weft', 'dist/src/cli/main.js'],
  ['weftd', 'dist/src/control/main.js'],
] as const;

export function startCases(): Case[] {
  return PROGRAMS.flatMap(([name, source]) => [
    {
      name: `start/${name}, joined`,
      opsPerCall: 1,
      open: () => openStart(`dist/program/${name}.js`),
    },
    { name: `start/${name}, module by module`, opsPerCall: 1, open: () => openStart(source) },
  ]);
}

/** Loads the program and does nothing else. */
function openStart(module: string): Work {
  const file = path.join(projectRoot(), module);
  const script = 'import(process.argv[1]).then(({ main }) => process.stdout.write(typeof main))';
  const run = (): number =>
    execFileSync(process.execPath, ['--eval', script, file], { encoding: 'utf8' }) === 'function'
      ? 1
      : 0;
  return { run, expected: 1 };
}
