/** The command line of the soak. */

import { FAST_PATH_MODES, type FastPathMode } from '../../src/options/options.ts';
import { readArguments, usage } from '../arguments.ts';
import { OFFLOADS, type Offloads } from '../fabric.ts';

export interface SoakOptions {
  minutes: number;
  seed: number;
  store: 'etcd' | 'file';
  /** --fast-path of the weft nodes */
  fastPath: FastPathMode;
  /** what the links between nodes can do, as the lab's fabric has it */
  links: Offloads;
  /** print the schedule and do nothing */
  list: boolean;
  help: boolean;
  /** where the result goes as JSON */
  json?: string;
}

const MINUTES_MAX = 10_080;
const SEED_MAX = 2 ** 31 - 1;

export const SOAK_HELP = `npm run soak -- --minutes N [options]

Three weft nodes and a stock kernel VXLAN node in network namespaces. Their pods talk all the time while faults happen at random:
daemons end, hang and lose threads, the store goes away, forgets and is spoilt, devices, addresses, routes and rules go, a clock moves.
Ends with exit code 1 at the first packet that no fault explains, and says how to repeat the run.

  --minutes N         how long, 1 to ${MINUTES_MAX}
  --seed S            which faults when, 0 to ${SEED_MAX} (default: another one each time)
  --store etcd|file   where the nodes meet: a real etcd in a namespace of its own, or a folder (default etcd)
  --fast-path auto|on|off   whether the kernel carries TCP between weft nodes where it may (default auto)
  --links on|off|wire       what the underlay's devices do: all, nothing, or checksums only (default on)
  --list              print the schedule of a seed and do nothing
  --json FILE         write the result into this file, too
  --help              this text
`;

/** Reads the options; throws (exit 2) and names the option that is wrong. `anySeed` is taken where none is given. */
export function parseSoakOptions(args: readonly string[], anySeed: number): SoakOptions {
  const values = readValues(args);
  const help = values.help ?? false;
  const list = values.list ?? false;
  const store = values.store ?? 'etcd';
  if (store !== 'file' && store !== 'etcd')
    throw usage(`--store: ${JSON.stringify(store)} is neither etcd nor file`);
  const fastPath = FAST_PATH_MODES.find((mode) => mode === (values['fast-path'] ?? 'auto'));
  if (!fastPath)
    throw usage(`--fast-path: ${JSON.stringify(values['fast-path'])} is none of auto, on, off`);
  const links = OFFLOADS.find((each) => each === (values.links ?? 'on'));
  if (!links) throw usage(`--links: ${JSON.stringify(values.links)} is none of on, off, wire`);
  if (values.json === '') throw usage('--json: a file is missing');
  if (values.minutes === undefined && !help) throw usage('--minutes is missing');
  return {
    minutes: values.minutes === undefined ? 1 : whole('--minutes', values.minutes, 1, MINUTES_MAX),
    seed: values.seed === undefined ? anySeed : whole('--seed', values.seed, 0, SEED_MAX),
    store,
    fastPath,
    links,
    list,
    help,
    ...(values.json !== undefined && { json: values.json }),
  };
}

/** The command that does the same again. */
export function repeatCommand({
  minutes,
  seed,
  store,
  fastPath,
  links,
}: Pick<SoakOptions, 'minutes' | 'seed' | 'store' | 'fastPath' | 'links'>): string {
  return `npm run soak -- --minutes ${minutes} --seed ${seed} --store ${store} --fast-path ${fastPath} --links ${links}`;
}

function readValues(args: readonly string[]) {
  const { values } = readArguments(args, {
    allowPositionals: false,
    options: {
      minutes: { type: 'string' },
      seed: { type: 'string' },
      store: { type: 'string' },
      'fast-path': { type: 'string' },
      links: { type: 'string' },
      json: { type: 'string' },
      list: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  return values;
}

function whole(option: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (/^\d{1,10}$/.test(text) && value >= least && value <= most) return value;
  throw usage(`${option}: ${JSON.stringify(text)} is not a whole number from ${least} to ${most}`);
}
