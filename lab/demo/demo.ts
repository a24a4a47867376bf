/** `npm run demo`: three weft nodes and a kernel VXLAN node, every pod talks to every pod. */
import { formatPrefix } from '../../src/shared/address.ts';
import { EXIT, messageOf, WeftError } from '../../src/shared/errors.ts';
import { requireCommands, requireRoot } from '../command.ts';
import { ETCD_PREFIX, Lab, type OnStep, pairsOf } from '../lab.ts';
import { KERNEL_BACKEND } from '../lease-file.ts';
import type { LabNode } from '../node.ts';
import type { Pod } from '../pod.ts';
import { Progress } from '../progress.ts';
import { listRecords, removeLab } from '../record.ts';
import { ping, tcpThroughput } from '../traffic.ts';
import { ClusterStage } from './cluster-stage.ts';
import { DEMO_HELP, type DemoOptions, parseDemoOptions } from './demo-options.ts';
import {
  failedPairs,
  type OffloadComparison,
  type PairResult,
  type PictureNode,
  renderComparison,
  renderJson,
  renderPicture,
  renderTable,
  renderVerdict,
} from './demo-report.ts';

const progress = new Progress();

async function main(args: readonly string[]): Promise<number> {
  const options = parseDemoOptions(args);
  if (options.help) {
    process.stdout.write(DEMO_HELP);
    return EXIT.ok;
  }
  requireRoot();
  requireCommands();
  return options.remove === undefined ? show(options) : remove(options.remove);
}

/** Nodes with a pod behind each, whoever started them. */
type Stage = Lab | ClusterStage;

/** What is shown besides the pairs. */
interface Extra {
  /** '' when there is a problem */
  line: string;
  /** '' when there is none */
  problem: string;
  comparison?: OffloadComparison | undefined;
}

async function show(options: DemoOptions): Promise<number> {
  const onStep = (text: string): void => progress.step(text);
  const { store } = options;
  const stage: Stage =
    store === 'kubernetes'
      ? await ClusterStage.build(onStep)
      : await buildLab({ ...options, store }, onStep);
  try {
    const pairs = await measurePairs(stage);
    const extra =
      stage instanceof Lab ? await compareOffloads(stage, options) : await stage.askService();
    progress.clear();
    const ok = pairs.length > 0 && failedPairs(pairs).length === 0 && extra.problem === '';
    printReport(stage, options, pairs, extra);
    if (options.keep) {
      stage.scope.keep();
      process.stdout.write(keepHint(stage));
    }
    process.stdout.write(`\n${renderVerdict(pairs, extra.problem)}\n`);
    if (options.json)
      process.stdout.write(`${renderJson(stage.nodes.length, pairs, extra.comparison, ok)}\n`);
    return ok ? EXIT.ok : EXIT.failure;
  } finally {
    if (!options.keep) progress.step('cleaning up');
    await stage.close();
    progress.clear();
  }
}

function buildLab(options: DemoOptions & { store: 'file' | 'etcd' }, onStep: OnStep): Promise<Lab> {
  const weft = { kind: 'weft' } as const;
  const kernel = options.backend === KERNEL_BACKEND ? [{ kind: 'kernel' } as const] : [];
  return Lab.build(
    {
      nodes: [weft, weft, weft, ...kernel],
      backend: options.backend,
      store: options.store,
      fastPath: 'auto',
      ...(options.workers !== undefined && { workers: options.workers }),
    },
    onStep,
  );
}

/** Pings run side by side; TCP one pair at a time, because all nodes share this machine's cores. */
async function measurePairs(stage: Stage): Promise<PairResult[]> {
  const pairs = pairsOf(stage.pods);
  progress.step(`pinging all ${pairs.length} pairs`);
  const ask = ({ from, to }: (typeof pairs)[number]) =>
    ping(from, to, { count: 10, intervalMs: 20 });
  const pings = await Promise.all(pairs.map(ask));
  const results: PairResult[] = [];
  for (const [i, { from, to }] of pairs.entries()) {
    progress.step(`TCP ${i + 1} of ${pairs.length}: ${from.node.name} to ${to.node.name}`);
    const { sent, received, lossPct, rttMsP50 } = pings[i] as (typeof pings)[number];
    const lost = sent - received;
    const again = lost > 0 ? await ask({ from, to }) : undefined;
    const againLost = again ? again.sent - again.received : null;
    const tcpGbps = await throughput(stage, from, to);
    const names = { from: from.node.name, to: to.node.name };
    results.push({ ...names, sent, lost, lossPct, againLost, rttMsP50, tcpGbps });
  }
  return results;
}

/** Null when TCP does not get through: the table shows it, the other pairs go on. */
async function throughput(stage: Stage, from: Pod, to: Pod): Promise<number | null> {
  try {
    const { gbps } = await tcpThroughput(from, to, { seconds: 1 });
    return round(gbps);
  } catch (error) {
    if (stage.scope.cleanup.begun) throw error;
    progress.clear();
    process.stderr.write(`TCP ${from.node.name} to ${to.node.name}: ${messageOf(error)}\n`);
    return null;
  }
}

/** The same engine with and without offloads, in the same run. */
async function compareOffloads(lab: Lab, options: DemoOptions): Promise<Extra> {
  const [first, second] = lab.weftNodes;
  const [from, to] = lab.pods;
  if (!first || !second || !from || !to) return withoutComparison('there are no two weft nodes');
  try {
    progress.step(`one TCP stream ${first.name} to ${second.name}, all offloads`);
    const fullGbps = await steadyThroughput(from, to);
    progress.step(`one TCP stream ${first.name} to ${second.name}, --offload=off --fast-path=off`);
    await Promise.all(
      [first, second].map((node) => node.restart({ offload: 'off', fastPath: 'off' })),
    );
    await lab.waitForPeers();
    const offGbps = await steadyThroughput(from, to);
    if (options.keep)
      await Promise.all(
        [first, second].map((node) => node.restart({ offload: undefined, fastPath: 'auto' })),
      );
    const comparison = { from: first.name, to: second.name, fullGbps, offGbps };
    return { line: renderComparison(comparison), problem: '', comparison };
  } catch (error) {
    if (lab.scope.cleanup.begun) throw error;
    return withoutComparison(messageOf(error));
  }
}

function withoutComparison(why: string): Extra {
  return { line: '', problem: `--offload=off: ${why}` };
}

/** The first half second does not count: the engine's code is still being compiled then. */
async function steadyThroughput(from: Pod, to: Pod): Promise<number> {
  const { gbps } = await tcpThroughput(from, to, { seconds: 2, omitSeconds: 1 });
  return gbps;
}

function printReport(
  stage: Stage,
  options: DemoOptions,
  pairs: readonly PairResult[],
  { line }: Extra,
): void {
  const picture = renderPicture(
    stage.nodes.map((node, i) => pictureNode(node, stage.pods[i] as Pod)),
    options.backend,
  );
  const more = line === '' ? '' : `${line}\n\n`;
  process.stdout.write(`${renderTable(pairs)}\n\n${more}${picture}\n`);
}

function pictureNode(node: LabNode, pod: Pod): PictureNode {
  const subnet = node.network.subnet4;
  return {
    name: node.name,
    kind: node.kind === 'weft' ? 'weft' : 'kernel VXLAN',
    underlay: node.underlay.address4,
    subnet: subnet ? formatPrefix(subnet) : '-',
    pod: pod.address4 ?? '-',
  };
}

function keepHint(stage: Stage): string {
  const { prefix } = stage.scope;
  return [
    '',
    `It is still running; all its namespaces start with ${prefix}-. Look around:`,
    `  ip netns exec ${prefix}-p1 ping ${stage.pods[1]?.address4}`,
    `  ip -n ${prefix}-n1 route`,
    ...(stage instanceof Lab ? labHints(stage) : clusterHints(stage)),
    'The kernel node does not follow changes of the store any more. Remove it all:',
    `  npm run demo -- --remove ${prefix}`,
    '',
  ].join('\n');
}

function labHints(lab: Lab): string[] {
  const [node] = lab.weftNodes;
  return [
    `  bin/weft status --admin-socket=${node?.adminSocket}`,
    `  less ${node?.logFile}`,
    lab.etcd
      ? `  ip netns exec ${lab.scope.prefix}-etcd etcdctl --endpoints=${lab.etcd.endpoint} get --prefix ${ETCD_PREFIX}`
      : `  ls ${lab.storeDir}/subnets`,
  ];
}

/** The machine of a kubelet has a /run of its own. */
function clusterHints({ cluster }: ClusterStage): string[] {
  const { plane, scope, kubelets } = cluster;
  return [
    `  ip netns exec ${scope.prefix}-kube kubectl --kubeconfig=${plane.adminKubeconfig} get nodes,pods -A -o wide`,
    `  bin/weft status --admin-socket=${kubelets[0]?.space.path('/run/weft/weft.sock')}`,
  ];
}

async function remove(prefix: string): Promise<number> {
  const record = listRecords().find((candidate) => candidate.prefix === prefix);
  if (!record) throw new WeftError('ERR_NO_LAB', EXIT.usage, `--remove: there is no lab ${prefix}`);
  if (!record.kept)
    throw new WeftError(
      'ERR_LAB_BUSY',
      EXIT.usage,
      `--remove: ${prefix} was not kept, end its demo`,
    );
  await removeLab(record);
  process.stdout.write(`${prefix} is gone\n`);
  return EXIT.ok;
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  progress.clear();
  // Stack traces are for our own mistakes; what a user can mend comes as one message.
  const text =
    error instanceof WeftError
      ? error.message
      : error instanceof Error
        ? error.stack
        : String(error);
  process.stderr.write(`demo: ${text}\n`);
  process.exitCode = error instanceof WeftError ? error.exitCode : EXIT.failure;
}
