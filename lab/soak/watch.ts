/** Looks at every daemon each second: its counters, its books, its memory; whether it is there and says that all is well. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Plane, StatusPage } from '../../src/api/status.ts';
import type { WeftNode } from '../weft-node.ts';
import { type Descriptors, descriptorsOf } from './descriptors.ts';
import { booksProblem, Life, type LifeFigures } from './life.ts';

export type NodeStatus = StatusPage & Plane;

const EVERY_MS = 1_000;
/** A page is put together while packets flow: only a difference that stays is one. */
const BOOKS_LOOKS = 5;
/** Not healed by a daemon, or not its doing: peers that do not exist, what is held or refused because of earlier faults. */
const EXPECTED_CODES =
  /^(?:peers-unreachable|peers-held|leases-skipped|leases-unreadable|worker-restarts|socket-drops|drops-.*)$/;

/** A life that goes on, and what its daemon had carried when it was last looked at. */
interface LastSeen {
  pid: number;
  life: Life;
  bytes: number;
  fastBytes: number;
}

export class Watch {
  readonly figures: Record<string, LifeFigures> = {};
  /** of the lives that have ended */
  readonly carried = { bytes: 0, fastBytes: 0 };
  private readonly nodes: readonly WeftNode[];
  private readonly mayBeAway: (node: number) => boolean;
  private readonly tell: (problem: string) => void;
  private readonly lives = new Map<number, LastSeen>();
  private readonly looks: number[];
  private readonly starts: number[];
  private isOver = false;
  private turn: Promise<unknown> = Promise.resolve();

  /** `tell` is called with each violation. */
  constructor(
    nodes: readonly WeftNode[],
    mayBeAway: (node: number) => boolean,
    tell: (problem: string) => void,
  ) {
    this.nodes = nodes;
    this.mayBeAway = mayBeAway;
    this.tell = tell;
    this.looks = nodes.map(() => 0);
    this.starts = nodes.map(() => 0);
  }

  start(): void {
    this.turn = Promise.all(
      this.nodes.map(async (node, i) => {
        while (!this.isOver) {
          await this.look(node, i);
          await sleep(EVERY_MS);
        }
      }),
    );
  }

  /** Judges the lives that go on. */
  async stop(): Promise<void> {
    this.isOver = true;
    await this.turn;
    for (const i of this.lives.keys()) this.endLife(i);
  }

  /** Why not all daemons say that all is well, '' when they do. */
  async whyNotWell(peersAtLeast: number): Promise<string> {
    const texts = await Promise.all(
      this.nodes.map(async (node) => {
        const why = await statusOf(node).then(
          (status) => whyNotWell(status, peersAtLeast),
          () => 'does not answer',
        );
        return why === '' ? '' : `${node.name}: ${why}`;
      }),
    );
    return texts.filter((text) => text !== '').join('; ');
  }

  private async look(node: WeftNode, i: number): Promise<void> {
    const { pid } = node;
    if (node.exit !== undefined) {
      if (!this.mayBeAway(i)) this.tell(`weftd of ${node.name} ended by itself: ${node.exit}`);
      return;
    }
    const status = await statusOf(node).catch(() => undefined);
    // Without workers a device is being made anew.
    if (!status || status.pid !== pid || !status.workers?.length) return;
    const memory = memoryOf(pid);
    if (!memory) return;
    const seen = this.lifeOf(i, node, pid);
    const { life } = seen;
    seen.bytes = bytesOf(status.counters);
    seen.fastBytes = bytesOf(status.fastPath?.counters);
    const look = { ageMs: status.uptimeSeconds * 1_000, ...memory, counters: countersOf(status) };
    for (const problem of life.add(look)) this.tell(problem);
    const books = booksProblem(status);
    this.looks[i] = books === '' ? 0 : (this.looks[i] as number) + 1;
    if (this.looks[i] === BOOKS_LOOKS) this.tell(`${life.name}: the books are not exact: ${books}`);
  }

  private lifeOf(i: number, node: WeftNode, pid: number): LastSeen {
    const known = this.lives.get(i);
    if (known?.pid === pid) return known;
    this.endLife(i);
    const start = (this.starts[i] as number) + 1;
    this.starts[i] = start;
    const life = new Life(`${node.name}, start ${start}`);
    const begun = { pid, life, bytes: 0, fastBytes: 0 };
    this.lives.set(i, begun);
    return begun;
  }

  private endLife(i: number): void {
    const seen = this.lives.get(i);
    if (!seen) return;
    const { life } = seen;
    this.lives.delete(i);
    this.carried.bytes += seen.bytes;
    this.carried.fastBytes += seen.fastBytes;
    this.figures[life.name] = life.figures;
    for (const problem of life.judge()) this.tell(problem);
  }
}

export async function statusOf(node: WeftNode): Promise<NodeStatus> {
  return JSON.parse(await node.page('/status')) as NodeStatus;
}

/** Why a daemon does not say that all is well, '' when it does. */
export function whyNotWell(status: NodeStatus, peersAtLeast: number): string {
  const { notReady, lease, store, peers, health, firewall } = status;
  const amiss = health.filter(({ code }) => !EXPECTED_CODES.test(code));
  const reasons = [
    notReady ?? '',
    lease?.state === 'held' ? '' : `lease ${lease?.state ?? 'not there'}`,
    store.ok ? '' : `store: ${store.message}`,
    firewall?.ok === false ? `firewall: ${firewall.problem}` : '',
    peers.total >= peersAtLeast ? '' : `${peers.total} of ${peersAtLeast} peers`,
    ...amiss.map(({ code, text }) => `${code}: ${text}`),
  ];
  return reasons.filter((reason) => reason !== '').join(', ');
}

function bytesOf(counters: Readonly<Record<string, number>> = {}): number {
  return (counters['sentBytes'] ?? 0) + (counters['deliveredBytes'] ?? 0);
}

function countersOf(status: NodeStatus): Record<string, number> {
  return {
    ...status.counters,
    ...status.stats,
    ...status.drops.outbound,
    ...status.drops.inbound,
    ...workerCounters(status.workers),
    uptimeSeconds: status.uptimeSeconds,
  };
}

function workerCounters(workers: NodeStatus['workers']): Record<string, number> {
  return Object.fromEntries(
    workers.flatMap(({ restarts, breaths, waitNs }, i) => [
      [`restarts of worker ${i}`, restarts],
      [`breaths of worker ${i}`, breaths],
      [`waitNs of worker ${i}`, waitNs],
    ]),
  );
}

/** Undefined when the process is gone. */
function memoryOf(pid: number): { rssBytes: number; descriptors: Descriptors } | undefined {
  try {
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return { rssBytes: Number(kilobytes) * 1_024, descriptors: descriptorsOf(pid) };
  } catch {
    return undefined;
  }
}
