/** What a result has to say about where it was measured. */
import { cpus, release } from 'node:os';
import { run } from '../../lab/command.ts';
import { projectRoot } from '../../src/shared/root.ts';
import { programVersion } from '../../src/shared/version.ts';
import type { MicroMachine, MicroResult } from './result.ts';

export function describeMachine(): MicroMachine {
  const cores = cpus();
  return {
    cpu: cores[0]?.model.trim() ?? 'unknown',
    cores: cores.length,
    kernel: release(),
    node: process.version,
  };
}

/** Version and commit; "unknown" outside a git checkout. */
export async function describeProgram(): Promise<MicroResult['weft']> {
  const commit = await git('rev-parse', 'HEAD');
  const changes = await git('status', '--porcelain', '--untracked-files=no');
  return { version: programVersion(), commit: commit ?? 'unknown', dirty: changes !== '' };
}

async function git(...args: string[]): Promise<string | undefined> {
  try {
    return (await run('git', ['-C', projectRoot(), ...args])).stdout.trim();
  } catch {
    return undefined;
  }
}
