/**
 * npm run bench:fleet: real daemons in a cluster of thousands of nodes, which are played on a real etcd of three members. How long until
 * the daemons have what changed, and what that costs them and etcd. Needs root.
 */
import { parseArgs } from 'node:util';
import { requireCommands } from '../../lab/command.ts';
import { Progress } from '../../lab/progress.ts';
import { EXIT, messageOf, WeftError } from '../../src/shared/errors.ts';
import { Fleet } from './fleet.ts';
import { FLEET_MAX } from './node.ts';
import {
  type EtcdPrices,
  measureEtcd,
  type Outcome,
  type Scale,
  SITUATIONS,
} from './situations.ts';
import { renderFleet } from './table.ts';

const NODES_MIN = 100;
const DAEMONS_MAX = 10;

const HELP = `npm run bench:fleet -- [--nodes N] [--daemons N] [--quick] [--json]

Starts real daemons (default 1) and three members of etcd in network namespaces, plays so many other nodes (default 10,000) on that etcd,
and prints how long the daemons take until they have what changed, with the processor time of daemons and etcd, when:
${SITUATIONS.map(({ name }) => `  ${name}`).join('\n')}
The nodes that are played exist in etcd only: nobody answers at their addresses.
--nodes N     ${NODES_MIN} to ${fleetNodesMax()}
--daemons N   1 to ${DAEMONS_MAX}
--quick       1,000 nodes, and less time for churn and partition
`;

/** Further nodes come in the course of it. */
function fleetNodesMax(): number {
  return Math.floor((FLEET_MAX - 1_000) / 2);
}

interface Options extends Scale {
  daemons: number;
  json: boolean;
}

function readOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      nodes: { type: 'string' },
      daemons: { type: 'string', default: '1' },
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const nodes = values.nodes ?? (values.quick ? '1000' : '10000');
  return {
    nodes: whole('--nodes', nodes, NODES_MIN, fleetNodesMax()),
    churnSeconds: values.quick ? 10 : 60,
    cutSeconds: values.quick ? 5 : 20,
    daemons: whole('--daemons', values.daemons, 1, DAEMONS_MAX),
    json: values.json,
  };
}

function whole(option: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new WeftError('ERR_USAGE', EXIT.usage, `${option} ${text}: not ${least} to ${most}`);
}

async function measure(
  options: Options,
  onStep: (text: string) => void,
): Promise<{ outcomes: Outcome[]; etcd: EtcdPrices }> {
  const fleet = await Fleet.start(options.daemons, onStep);
  try {
    const outcomes: Outcome[] = [];
    for (const { name, run } of SITUATIONS) {
      onStep(name);
      outcomes.push(await run(fleet, options));
    }
    onStep('what watching and listing costs etcd');
    return { outcomes, etcd: await measureEtcd(fleet, options.nodes) };
  } finally {
    await fleet.lab.close();
  }
}

async function main(): Promise<void> {
  const options = readOptions();
  if (!options) return void process.stdout.write(HELP);
  requireCommands(['etcd', 'etcdctl']);
  const progress = new Progress();
  const result = await measure(options, (text) => progress.step(text));
  progress.clear();
  const { nodes, daemons, json } = options;
  process.stdout.write(
    json
      ? `${JSON.stringify({ schemaVersion: 1, nodes, daemons, ...result })}\n`
      : renderFleet(result.outcomes, result.etcd),
  );
}

main().catch((error) => {
  const code = (error as { code?: string }).code ?? '';
  process.stderr.write(`bench:fleet: ${messageOf(error)}\n`);
  const isUsage = code.startsWith('ERR_PARSE_ARGS');
  process.exitCode = isUsage
    ? EXIT.usage
    : error instanceof WeftError
      ? error.exitCode
      : EXIT.failure;
});
