/** The command line of bench. */
import { readArguments, usage } from '../../lab/arguments.ts';
import type { Settings } from './result.ts';

export interface BenchOptions {
  /** part of a case's name; empty = all */
  filter: string;
  quick: boolean;
  json: boolean;
  save: boolean;
  /** a saved result must be there; without the option one is used when there is one */
  compare: boolean;
  help: boolean;
}

export const BENCH_HELP = `npm run bench -- [part of a name] [options]

Micro benchmarks of the data plane: no root and no network device needed.

  --quick    short samples: under half a minute, for a first look
  --json     the result as one JSON object instead of the table
  --save     keep the result in bench/results, one file for each version and class of machine
  --compare  fail unless there is a saved result to compare with
  --help     this text

Compares with the newest saved result of the same CPU model whenever there is one.
`;

const NORMAL: Settings = { quick: false, maxSeconds: 2.5, sampleSeconds: 0.05, samplesMin: 10 };
const QUICK: Settings = { quick: true, maxSeconds: 0.15, sampleSeconds: 0.02, samplesMin: 5 };

export function settingsOf(options: Pick<BenchOptions, 'quick'>): Settings {
  return options.quick ? QUICK : NORMAL;
}

/** Reads the options; throws (exit 2) and names the option that is wrong. */
export function parseBenchOptions(args: readonly string[]): BenchOptions {
  const { values, positionals } = parse(args);
  const [filter = '', extra] = positionals;
  if (extra !== undefined) throw usage(`${JSON.stringify(extra)}: only one part of a name`);
  const options = {
    filter,
    quick: values.quick ?? false,
    json: values.json ?? false,
    save: values.save ?? false,
    compare: values.compare ?? false,
    help: values.help ?? false,
  };
  if (options.save && filter !== '') throw usage('--save keeps whole runs: leave out the name');
  return options;
}

function parse(args: readonly string[]) {
  return readArguments(args, {
    allowPositionals: true,
    options: {
      quick: { type: 'boolean' },
      json: { type: 'boolean' },
      save: { type: 'boolean' },
      compare: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
}
