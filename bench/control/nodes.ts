/** A daemon in a cluster of thousands of Nodes that don't exist, with a real API server: its start, its memory, and one change. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Lab, type OnStep } from '../../lab/lab.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import { projectRoot } from '../../src/shared/root.ts';
import { playedNode } from './played-node.ts';

export interface NodeFigures {
  nodes: number;
  /** from the start of the daemon's process, without a memory of the cluster, until all nodes are its peers and packets are forwarded */
  startMs: number;
  /** the same without any node: what is more is theirs */
  emptyStartMs: number;
  /** resident memory with all nodes, and what each of them takes of it */
  memoryMb: number;
  memoryPerNodeKb: number;
  /** from the API server's answer until a new Node is among the peers */
  inForceMs: number[];
}

const SYNC_MS_MAX = 120_000;
/** New peers are looked at once, and what a start leaves behind is collected. */
const SETTLE_MS = 10_000;
const SLACK_MS = 180_000;

export async function measureNodes(
  nodes: number,
  changes: number,
  onStep: OnStep,
): Promise<NodeFigures> {
  const lab = await Lab.build(
    {
      nodes: [{ kind: 'weft' }],
      store: 'kubernetes',
      configOptions: { Network: '10.128.0.0/9' },
      flags: ['--start-from-memory=false'],
      waitForPeers: false,
    },
    onStep,
  );
  try {
    const { controlPlane: plane, weftNodes } = lab;
    const [node] = weftNodes;
    if (!plane || !node) throw new Error('the lab is not whole');
    onStep('starting without any of them');
    const emptyStartMs = await timeOfStart(node, 0);
    await sleep(SETTLE_MS);
    const emptyKb = residentKb(node);
    onStep(`making ${nodes} Nodes`);
    await plane.seedNodes(Array.from({ length: nodes }, (_, i) => playedNode(i)));
    await untilPeers(node, nodes);
    onStep('starting with all of them');
    const startMs = await timeOfStart(node, nodes);
    await sleep(SETTLE_MS);
    const fullKb = residentKb(node);
    onStep('following single changes');
    const program = path.join(projectRoot(), 'dist/bench/control/node-changes.js');
    const words = [plane.adminKubeconfig, node.adminSocket, changes, nodes].map(String);
    const { stdout } = await node.namespace.exec(process.execPath, [program, ...words], {
      timeoutMs: SLACK_MS,
    });
    return {
      nodes,
      startMs,
      emptyStartMs,
      memoryMb: fullKb / 1024,
      memoryPerNodeKb: (fullKb - emptyKb) / nodes,
      inForceMs: JSON.parse(stdout) as number[],
    };
  } finally {
    await lab.close();
  }
}

async function timeOfStart(node: WeftNode, peers: number): Promise<number> {
  await node.stop();
  const startedMs = performance.now();
  await node.start();
  await untilPeers(node, peers);
  return performance.now() - startedMs;
}

async function untilPeers(node: WeftNode, count: number): Promise<void> {
  const deadline = performance.now() + SYNC_MS_MAX;
  for (;;) {
    const { peers } = JSON.parse(await node.page('/status', SYNC_MS_MAX)) as {
      peers: { total: number };
    };
    if (peers.total >= count) return;
    if (performance.now() > deadline) throw new Error(`${peers.total} of ${count} peers in time`);
    await sleep(20);
  }
}

function residentKb(node: WeftNode): number {
  const status = readFileSync(`/proc/${node.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]);
}
