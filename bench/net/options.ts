/** Command line of bench:net. */
import { readArguments, usage } from '../../lab/arguments.ts';
import { LINKS, type Link } from './links.ts';
import { availableCongestion } from './machine.ts';

export interface NetOptions {
  links: Link[];
  /** ids; empty = the default choice */
  planes: string[];
  works: string[];
  rounds: number;
  seconds: number;
  warmupSeconds: number;
  quick: boolean;
  /** TCP congestion control of the works that name none */
  congestion: string;
  json: boolean;
  /** an earlier result */
  compare: string | undefined;
  csv: string | undefined;
  record: boolean;
  list: boolean;
  help: boolean;
  /** where the result goes; default bench/out/net-<time>.json and .html beside it */
  out: string | undefined;
}

export const NET_HELP = `npm run bench:net -- [options]

Builds pairs of nodes in network namespaces, one pair for each data plane, and measures them side by side: round by
round, one plane after the other, every second round in reverse order. Ratios are made within a round. Needs root.

  --quick              weft, kernel VXLAN and no overlay, the main kinds of work, short runs: about 4 minutes
  --links LIST         underlays: veth, wire, veth-9000, wire-9000, veth-ipv6, wire-ipv6 (default all; quick veth,wire)
  --planes LIST        data planes to measure (default all); kernel is needed for ratios
  --works LIST         kinds of work (default: the main ones everywhere, the others with the core planes on veth and
                       wire); what is named here is measured with every plane
  --rounds N           how often each is measured, 1 to 100 (default 5; quick 2)
  --seconds N          length of one run, 1 to 60 (default 3; quick 1)
  --congestion NAME    TCP congestion control of the works that name none (default cubic)
  --out FILE           where the raw runs and summaries go (default bench/out/net-<time>.json); a report, FILE with
                       .html, is written beside it
  --compare OLD.json   then say what is better or worse than in that result by more than chance
  --csv FILE           write every value of every run to FILE as well
  --record             then make this the result of record: bench/results/net.json, the README's figures and its plots
  --json               print the result as one JSON object at the end, instead of the table
  --list               show the data planes and kinds of work
  --help               this text
`;

/** Throws WeftError (exit 2) that names the option. */
export function parseNetOptions(args: readonly string[]): NetOptions {
  const values = readValues(args);
  const quick = values.quick ?? false;
  const links = words(values.links);
  return {
    links:
      links.length > 0
        ? choose('--links', links, LINKS)
        : LINKS.filter((link) => link.main || !quick),
    planes: words(values.planes),
    works: words(values.works),
    rounds: number('--rounds', values.rounds, quick ? 2 : 5, 1, 100),
    seconds: number('--seconds', values.seconds, quick ? 1 : 3, 1, 60),
    warmupSeconds: 1,
    quick,
    congestion: congestionOf(values.congestion ?? 'cubic'),
    json: values.json ?? false,
    compare: values.compare,
    csv: values.csv,
    record: values.record ?? false,
    list: values.list ?? false,
    help: values.help ?? false,
    out: values.out,
  };
}

function readValues(args: readonly string[]) {
  const { values } = readArguments(args, {
    allowPositionals: false,
    options: {
      quick: { type: 'boolean' },
      links: { type: 'string' },
      planes: { type: 'string' },
      works: { type: 'string' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      congestion: { type: 'string' },
      out: { type: 'string' },
      json: { type: 'boolean' },
      compare: { type: 'string' },
      csv: { type: 'string' },
      record: { type: 'boolean' },
      list: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  return values;
}

function congestionOf(name: string): string {
  const available = availableCongestion();
  if (available.includes(name)) return name;
  throw usage(`--congestion: ${name} is none of ${available.join(', ')}`);
}

function words(text: string | undefined): string[] {
  return (text ?? '').split(',').filter((word) => word !== '');
}

function number(
  name: string,
  text: string | undefined,
  initial: number,
  min: number,
  max: number,
): number {
  if (text === undefined) return initial;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw usage(`${name}: ${JSON.stringify(text)} is not a whole number from ${min} to ${max}`);
}

/** The chosen ones in the list's own order; throws for an unknown id. */
export function choose<T extends { id: string }>(
  option: string,
  ids: readonly string[],
  all: readonly T[],
): T[] {
  const unknown = ids.find((id) => !all.some((item) => item.id === id));
  if (unknown === undefined) return all.filter((item) => ids.includes(item.id));
  throw usage(`${option}: ${unknown} is none of ${all.map((item) => item.id).join(', ')}`);
}
