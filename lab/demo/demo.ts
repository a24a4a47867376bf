/** `npm run demo`: three weft nodes and a kernel VXLAN node, every pod talks to every pod. */
import { formatPrefix } from '../../src/shared/address.ts';
import { EXIT, messageOf, WeftError } from '../../src/shared/errors.ts';
import { requireCommands, requireRoot } from '../command.ts';
import { ETCD_PREFIX, Lab } from '../lab.ts';
import { KERNEL_BACKEND } from '../lease-file.ts';
import type { LabNode } from '../node.ts';
import type { Pod } from '../pod.ts';
import { Progress } from '../progress.ts';
import { listRecords, removeLab } from '../record.ts';
import { ping, tcpThroughput } from '../traffic.ts';
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

async function show(options: DemoOptions): Promise<number> {
  const lab = await buildLab(options);
  try {
    const pairs = await measurePairs(lab);
    const comparison = await compareOffloads(lab, options);
    progress.clear();
    const problem = typeof comparison === 'string' ? `--offload=off: ${comparison}` : '';
    const ok = pairs.length > 0 && failedPairs(pairs).length === 0 && problem === '';
    printReport(lab, options, pairs, comparison);
    if (options.keep) {
      lab.scope.keep();
      process.stdout.write(keepHint(lab));
    }
    process.stdout.write(`\n${renderVerdict(pairs, problem)}\n`);
    const known = typeof comparison === 'string' ? undefined : comparison;
    if (options.json) process.stdout.write(`${renderJson(lab.nodes.length, pairs, known, ok)}\n`);
    return ok ? EXIT.ok : EXIT.failure;
  } finally {
    if (!options.keep) progress.step('taking it down');
    await lab.close();
    progress.clear();
  }
}

function buildLab(options: DemoOptions): Promise<Lab> {
  const weft = { kind: 'weft' } as const;
  const kernel = options.backend === KERNEL_BACKEND ? [{ kind: 'kernel' } as const] : [];
  return Lab.build(
    {
      nodes: [weft, weft, weft, ...kernel],
      backend: options.backend,
      store: options.store,
      ...(options.workers !== undefined && { workers: options.workers }),
    },
    (text) => progress.step(text),
  );
}

/** Pings run side by side; TCP one pair at a time, because all nodes share this machine's cores. */
async function measurePairs(lab: Lab): Promise<PairResult[]> {
  const pairs = lab.pairs();
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
    const tcpGbps = await throughput(lab, from, to);
    const names = { from: from.node.name, to: to.node.name };
    results.push({ ...names, sent, lost, lossPct, againLost, rttMsP50, tcpGbps });
  }
  return results;
}

/** Null when TCP does not get through: the table shows it, the other pairs go on. */
async function throughput(lab: Lab, from: Pod, to: Pod): Promise<number | null> {
  try {
    const { gbps } = await tcpThroughput(from, to, { seconds: 1 });
    return round(gbps);
  } catch (error) {
    if (lab.scope.cleanup.begun) throw error;
    progress.clear();
    process.stderr.write(`TCP ${from.node.name} to ${to.node.name}: ${messageOf(error)}\n`);
    return null;
  }
}

/** The same engine with and without offloads, in the same run; a text says why it could not be compared. */
async function compareOffloads(
  lab: Lab,
  options: DemoOptions,
): Promise<OffloadComparison | string> {
  const [first, second] = lab.weftNodes;
  const [from, to] = lab.pods;
  if (!first || !second || !from || !to) return 'there are no two weft nodes';
  try {
    progress.step(`one TCP stream ${first.name} to ${second.name}, all offloads`);
    const fullGbps = await steadyThroughput(from, to);
    progress.step(`one TCP stream ${first.name} to ${second.name}, --offload=off`);
    await Promise.all([first.restart({ offload: 'off' }), second.restart({ offload: 'off' })]);
    await lab.waitForPeers();
    const offGbps = await steadyThroughput(from, to);
    if (options.keep)
      await Promise.all([first, second].map((node) => node.restart({ offload: undefined })));
    return { from: first.name, to: second.name, fullGbps, offGbps };
  } catch (error) {
    if (lab.scope.cleanup.begun) throw error;
    return messageOf(error);
  }
}

/** The first half second does not count: the engine's code is still being compiled then. */
async function steadyThroughput(from: Pod, to: Pod): Promise<number> {
  const { gbps } = await tcpThroughput(from, to, { seconds: 2, omitSeconds: 1 });
  return gbps;
}

function printReport(
  lab: Lab,
  options: DemoOptions,
  pairs: readonly PairResult[],
  comparison: OffloadComparison | string,
): void {
  const line = typeof comparison === 'string' ? '' : `${renderComparison(comparison)}\n\n`;
  const picture = renderPicture(
    lab.nodes.map((node, i) => pictureNode(node, lab.pod(i))),
    options.backend,
  );
  process.stdout.write(`${renderTable(pairs)}\n\n${line}${picture}\n`);
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

function keepHint(lab: Lab): string {
  const [node] = lab.weftNodes;
  const { prefix } = lab.scope;
  return [
    '',
    `It is still running; all its namespaces start with ${prefix}-. Look around:`,
    `  ip netns exec ${prefix}-p1 ping ${lab.pod(1).address4}`,
    `  ip -n ${prefix}-n1 route`,
    `  bin/weft status --admin-socket=${node?.adminSocket}`,
    `  less ${node?.logFile}`,
    lab.etcd
      ? `  ip netns exec ${prefix}-etcd etcdctl --endpoints=${lab.etcd.endpoint} get --prefix ${ETCD_PREFIX}`
      : `  ls ${lab.storeDir}/subnets`,
    'The kernel node does not follow changes of the store any more. Remove it all:',
    `  npm run demo -- --remove ${prefix}`,
    '',
  ].join('\n');
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
