/**
 * npm run bench:control: a daemon in a namespace whose store changes all the time: how soon a change is in force, how fast health is
 * answered meanwhile, and what it costs. Needs root; etcd is a real one.
 */
import path from 'node:path';
import { parseArgs } from 'node:util';
import { requireCommands } from '../../lab/command.ts';
import { buildKubernetes } from '../../lab/kubernetes/programs.ts';
import { ETCD_PREFIX, Lab, type LabDescription } from '../../lab/lab.ts';
import { Progress } from '../../lab/progress.ts';
import { EXIT, messageOf, WeftError } from '../../src/shared/errors.ts';
import { projectRoot } from '../../src/shared/root.ts';
import type { Figures, Load } from './load.ts';
import { measureNodes, type NodeFigures } from './nodes.ts';

const HELP = `npm run bench:control -- [--only etcd|file|kubernetes] [--quick] [--json]

Fills a store with leases, changes them at a steady rate, and measures one daemon: the first sync, how soon a new lease is in force, how
fast /healthz answers, the share of a core that it takes, with the changes and before them, and its peak memory. Stores, leases and changes per second:
  etcd, 5,000, 100 · etcd, 50,000, 1,000 · file, 10,000, 10
Kubernetes, with a real API server: 2,000 Nodes, how long a start takes to know them, the memory for each, how soon a new one is a peer.
--quick: 10 s and 50 followed changes each instead of 30 s and 200.
`;
/** Nodes of the cluster that is played in Kubernetes. */
const NODES = 2_000;
const HEALTH_PORT = 8081;
/** The longest that one load may take besides its own time. */
const SLACK_MS = 180_000;

interface Situation {
  store: 'etcd' | 'file';
  leases: number;
  changesPerSecond: number;
}

const SITUATIONS: readonly Situation[] = [
  { store: 'etcd', leases: 5_000, changesPerSecond: 100 },
  { store: 'etcd', leases: 50_000, changesPerSecond: 1_000 },
  { store: 'file', leases: 10_000, changesPerSecond: 10 },
];

type Result = Situation & { figures: Figures };

/** Its own subnet lies behind those of the load. */
function labOf({ store, leases }: Situation): LabDescription {
  return {
    nodes: [{ kind: 'weft' }],
    store,
    ...(store === 'file' && { extraPeers: leases }),
    configOptions: { Network: '10.128.0.0/9', SubnetLen: 25, SubnetMin: '10.255.128.0' },
    flags: [`--healthz-port=${HEALTH_PORT}`],
    waitForPeers: false,
  };
}

async function measure(
  situation: Situation,
  length: Pick<Load, 'seconds' | 'probes'>,
  onStep: (text: string) => void,
): Promise<Result> {
  const lab = await Lab.build(labOf(situation), onStep);
  try {
    const [node] = lab.weftNodes;
    if (!node?.pid) throw new Error('the daemon does not run');
    const load: Load = {
      store: lab.etcd
        ? { kind: 'etcd', endpoint: lab.etcd.endpoint, prefix: ETCD_PREFIX }
        : { kind: 'file', folder: lab.storeDir },
      leases: situation.leases,
      changesPerSecond: situation.changesPerSecond,
      ...length,
      adminSocket: node.adminSocket,
      healthPort: HEALTH_PORT,
      pid: node.pid,
    };
    onStep(`${situation.store}, ${situation.leases} leases: changing them`);
    const program = path.join(projectRoot(), 'dist/bench/control/load.js');
    const { stdout } = await node.namespace.exec(
      process.execPath,
      [program, JSON.stringify(load)],
      { timeoutMs: load.seconds * 1000 + SLACK_MS },
    );
    return { ...situation, figures: JSON.parse(stdout) as Figures };
  } finally {
    await lab.close();
  }
}

function render(results: readonly Result[]): string {
  return results.map(renderOne).join('\n');
}

function renderOne({ store, leases, figures }: Result): string {
  const { syncMs, changesPerSecond, peakMemoryMb } = figures;
  const { cpuShare, askedCpuShare, idleCpuShare } = figures;
  const { writeMs, inForceMs, healthMs } = figures;
  const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
  return [
    `${store}, ${leases} leases, ${changesPerSecond.toFixed(0)} changes/s`,
    `  first sync, writing included   ${(syncMs / 1000).toFixed(1)} s`,
    `  a new lease is written after   ${spread(writeMs)}`,
    `  and in force after             ${spread(inForceMs)}`,
    `  /healthz answers after         ${spread(healthMs)}`,
    `  of a core                      ${percent(cpuShare)}, with health asked ${percent(askedCpuShare)}, before the changes ${percent(idleCpuShare)}`,
    `  peak memory                    ${peakMemoryMb} MB`,
    '',
  ].join('\n');
}

function renderNodes(figures: NodeFigures): string {
  const { nodes, startMs, emptyStartMs, memoryMb, memoryPerNodeKb, inForceMs } = figures;
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
  return [
    `kubernetes, ${nodes} Nodes`,
    `  a start with all of them takes ${seconds(startMs)}, without any ${seconds(emptyStartMs)}`,
    `  a new Node is a peer after     ${spread(inForceMs)}`,
    `  memory                         ${memoryMb.toFixed(0)} MB, ${memoryPerNodeKb.toFixed(1)} KB for each Node`,
    '',
  ].join('\n');
}

function spread(all: readonly number[]): string {
  const sorted = [...all].sort((a, b) => a - b);
  const at = (share: number): string =>
    (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(0);
  return `median ${at(0.5)} ms, 99 % ${at(0.99)} ms, most ${at(1)} ms`;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return void process.stdout.write(HELP);
  const { only } = values;
  const chosen = SITUATIONS.filter(({ store }) => only === undefined || store === only);
  const hasNodes = only === undefined || only === 'kubernetes';
  if (chosen.length === 0 && !hasNodes)
    throw new WeftError('ERR_USAGE', EXIT.usage, `--only ${only}: not etcd, file or kubernetes`);
  requireCommands(['etcd', 'etcdctl']);
  const length = values.quick ? { seconds: 10, probes: 50 } : { seconds: 30, probes: 200 };
  const progress = new Progress();
  const results: Result[] = [];
  const onStep = (text: string): void => progress.step(text);
  for (const situation of chosen) results.push(await measure(situation, length, onStep));
  if (hasNodes) await buildKubernetes();
  const nodes = hasNodes ? [await measureNodes(NODES, length.probes, onStep)] : [];
  progress.clear();
  const text = [render(results), ...nodes.map(renderNodes)].filter(Boolean).join('\n');
  process.stdout.write(values.json ? `${JSON.stringify([...results, ...nodes])}\n` : text);
}

main().catch((error) => {
  process.stderr.write(`bench:control: ${messageOf(error)}\n`);
  process.exitCode = error instanceof WeftError ? error.exitCode : EXIT.failure;
});
