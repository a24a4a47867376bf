/** A commit in a folder of its own, built. */
import { cpSync, existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Cleanup } from '../../lab/cleanup.ts';
import { run } from '../../lab/command.ts';
import { EXIT, WeftError } from '../../src/shared/errors.ts';
import { projectRoot } from '../../src/shared/root.ts';
import type { MicroResult } from '../micro/result.ts';

const BUILD_MS_MAX = 900_000;
const BENCH_MS_MAX = 600_000;

export class Checkout {
  readonly commit: string;
  private readonly folder: string;

  private constructor(commit: string, folder: string) {
    this.commit = commit;
    this.folder = folder;
  }

  /**
   * Below `parent`; `cleanup` removes it. Throws WeftError when it can't be built.
   * @param commit as {@link commitOf} gives it
   */
  static async make(commit: string, parent: string, cleanup: Cleanup): Promise<Checkout> {
    const folder = path.join(parent, commit);
    cleanup.defer(`worktree ${folder}`, () => removeWorktree(folder));
    await git('worktree', 'add', '--detach', folder, commit);
    takePackages(folder);
    const words = [
      path.join(folder, 'scripts/setup.mjs'),
      '--quiet',
      '--only=packages,native,dist',
    ];
    await run(process.execPath, words, { timeoutMs: BUILD_MS_MAX });
    return new Checkout(commit, folder);
  }

  /** One run of its own micro benchmarks. */
  async measure(filter: string): Promise<MicroResult> {
    const program = path.join(this.folder, 'dist/bench/micro/main.js');
    const words = [program, '--quick', '--json', ...(filter ? [filter] : [])];
    const { stdout } = await run(process.execPath, words, { timeoutMs: BENCH_MS_MAX });
    return JSON.parse(stdout) as MicroResult;
  }
}

/** Its whole name. Throws WeftError when git does not know it. */
export async function commitOf(name: string): Promise<string> {
  try {
    return (await git('rev-parse', '--verify', '--end-of-options', `${name}^{commit}`)).trim();
  } catch {
    throw new WeftError(
      'ERR_USAGE',
      EXIT.usage,
      `${JSON.stringify(name)} is no commit of this repository`,
    );
  }
}

async function removeWorktree(folder: string): Promise<void> {
  if (existsSync(folder)) await git('worktree', 'remove', '--force', folder);
}

/** Those of this checkout where the commit wants the same: installing them takes longest. */
function takePackages(folder: string): void {
  const [ours, theirs] = [projectRoot(), folder].map((each) =>
    path.join(each, 'package-lock.json'),
  );
  const packages = path.join(projectRoot(), 'node_modules');
  if (!ours || !theirs || !existsSync(packages) || !existsSync(theirs)) return;
  if (readFileSync(ours, 'utf8') !== readFileSync(theirs, 'utf8')) return;
  cpSync(packages, path.join(folder, 'node_modules'), { recursive: true, verbatimSymlinks: true });
}

async function git(...words: string[]): Promise<string> {
  return (await run('git', ['-C', projectRoot(), ...words])).stdout;
}
