/** A result as lines of text. */
import type { EtcdPrices, Outcome } from './situations.ts';

/** Nodes of which the last lines speak. */
const MODELS = [10_000, 50_000];
/** Churn of the model: a hundredth of the nodes each minute goes and another comes. */
const CHANGES_PER_NODE_AND_SECOND = 0.02 / 60;

export function renderFleet(outcomes: readonly Outcome[], etcd: EtcdPrices): string {
  return `${outcomes.map(renderOutcome).join('\n')}\n${renderEtcd(etcd)}`;
}

function renderOutcome(outcome: Outcome): string {
  const { situation, did, writingSeconds, convergedSeconds, lastedSeconds, cost } = outcome;
  const share = (cost.daemonCpuSeconds / lastedSeconds) * 100;
  return [
    `${situation}: ${did}`,
    `  written in                 ${writingSeconds.toFixed(1)} s`,
    `  all in force after that    ${convergedSeconds.toFixed(2)} s`,
    `  a daemon used              ${cost.daemonCpuSeconds.toFixed(1)} s of a core (${share.toFixed(0)} %), has ${cost.daemonMemoryMb} MB`,
    `  etcd used                  ${cost.etcdCpuSeconds.toFixed(1)} s of a core`,
    '',
  ].join('\n');
}

/** Watching costs etcd changes × watchers, listing costs keys × lists: by what one costs, what a cluster would. */
function renderEtcd({ perEventSeconds, perListSeconds, keys }: EtcdPrices): string {
  const lines = MODELS.map((nodes) => {
    const changes = nodes * CHANGES_PER_NODE_AND_SECOND;
    const churn = changes * nodes * perEventSeconds;
    const start = nodes * nodes * (perEventSeconds + perListSeconds / keys);
    return `  ${nodes} nodes: churn of 1 % a minute ${churn.toFixed(1)} cores; all start at once ${start.toFixed(0)} s of a core`;
  });
  return [
    'etcd, by what it used here:',
    `  one change, for each node that watches  ${(perEventSeconds * 1e6).toFixed(1)} µs of a core`,
    `  one list of ${keys} leases  ${(perListSeconds * 1e3).toFixed(0)} ms of a core`,
    ...lines,
    '',
  ].join('\n');
}
