/** npm run bench:commits: which parts of the data plane one commit made slower or faster than another. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Cleanup } from '../../lab/cleanup.ts';
import { EXIT, messageOf, WeftError } from '../../src/shared/errors.ts';
import type { MicroResult } from '../micro/result.ts';
import { Checkout, commitOf } from './checkout.ts';
import { compareCommits, renderCommits } from './compare.ts';
import { COMMITS_HELP, type CommitsOptions, parseCommitsOptions } from './options.ts';

/** The older one, then the newer. */
type Pair<T> = [T, T];

async function main(): Promise<void> {
  const options = parseCommitsOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(COMMITS_HELP);
    return;
  }
  const commits = [await commitOf(options.before), await commitOf(options.after)] as const;
  if (commits[0] === commits[1])
    throw new WeftError('ERR_USAGE', EXIT.usage, `both are commit ${commits[0]}`);
  const cleanup = new Cleanup();
  cleanup.closeOnSignals();
  try {
    await compare(options, commits, cleanup);
  } finally {
    await cleanup.close();
  }
}

async function compare(
  options: CommitsOptions,
  commits: readonly [string, string],
  cleanup: Cleanup,
): Promise<void> {
  const parent = mkdtempSync(path.join(tmpdir(), 'weft-bench-'));
  cleanup.defer(parent, () => rmSync(parent, { recursive: true, force: true }));
  const checkouts: Checkout[] = [];
  for (const commit of commits) {
    process.stderr.write(`building ${commit}\n`);
    checkouts.push(await Checkout.make(commit, parent, cleanup));
  }
  report(options, checkouts, await measure(options, checkouts as Pair<Checkout>));
}

async function measure(
  { rounds, filter }: CommitsOptions,
  checkouts: Pair<Checkout>,
): Promise<Pair<MicroResult[]>> {
  const results: Pair<MicroResult[]> = [[], []];
  for (let round = 0; round < rounds; round++) {
    process.stderr.write(`round ${round + 1} of ${rounds}\n`);
    // What the machine does besides falls on both.
    for (const which of round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const))
      results[which].push(await checkouts[which].measure(filter));
  }
  return results;
}

function report(
  { json }: CommitsOptions,
  [before, after]: readonly Checkout[],
  [old, now]: Pair<MicroResult[]>,
): void {
  const changes = compareCommits(old, now);
  const commits = { before: before?.commit, after: after?.commit };
  process.stdout.write(
    json
      ? `${JSON.stringify({ schemaVersion: 1, kind: 'commits', ...commits, changes, before: old, after: now })}\n`
      : `${renderCommits(changes)}\n`,
  );
  if (changes.some(({ verdict }) => verdict === 'worse')) process.exitCode = EXIT.failure;
}

await main().catch((error: unknown) => {
  process.stderr.write(`bench:commits: ${messageOf(error)}\n`);
  process.exitCode = error instanceof WeftError ? error.exitCode : EXIT.internal;
});
