/** The command line of bench:commits. */
import { readArguments, usage } from '../../lab/arguments.ts';

export interface CommitsOptions {
  /** names of commits, as git takes them */
  before: string;
  after: string;
  /** part of a case's name; empty = all */
  filter: string;
  rounds: number;
  json: boolean;
  help: boolean;
}

const ROUNDS = 5;
const ROUNDS_MAX = 50;

export const COMMITS_HELP = `npm run bench:commits -- OLD [NEW] [options]

Builds two commits side by side, measures the parts of the data plane in each (npm run bench -- --quick), one commit after the other, every
second round in reverse order, and says what got slower or faster by more than chance. NEW is HEAD if left out; changes that are not
committed are not measured. About a minute a round, and two for the builds; no root and no network device needed.

  --only PART  only cases with that in their names
  --rounds N   how often each is measured, ${ROUNDS} to ${ROUNDS_MAX} (default ${ROUNDS}: with fewer, chance can't be told)
  --json       every value, and the verdicts, as one JSON object
  --help       this text

Exit code 1 when a case is slower.
`;

/** Reads the options; throws (exit 2) and names the one that is wrong. */
export function parseCommitsOptions(args: readonly string[]): CommitsOptions {
  const { values, positionals } = parse(args);
  const [before = '', after = 'HEAD', extra] = positionals;
  const help = values.help ?? false;
  if (extra !== undefined) throw usage(`${JSON.stringify(extra)}: two commits are compared`);
  if (before === '' && !help) throw usage('a commit to compare with is missing');
  const rounds = Number(values.rounds ?? ROUNDS);
  if (!Number.isInteger(rounds) || rounds < ROUNDS || rounds > ROUNDS_MAX)
    throw usage(
      `--rounds: ${JSON.stringify(values.rounds)} is not a number from ${ROUNDS} to ${ROUNDS_MAX}`,
    );
  return { before, after, filter: values.only ?? '', rounds, json: values.json ?? false, help };
}

function parse(args: readonly string[]) {
  return readArguments(args, {
    allowPositionals: true,
    options: {
      only: { type: 'string' },
      rounds: { type: 'string' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
}
