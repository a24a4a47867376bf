/** One run of bench:net: rigs of a link side by side, rounds of work over them, everything kept. */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../src/shared/errors.ts';
import type { Link } from './links.ts';
import { Meter } from './meter.ts';
import type { Plane } from './planes/plane.ts';
import type { PlaneInfo, Run } from './result.ts';
import type { Stand, Work, WorkContext } from './works/work.ts';

export interface SessionPlan {
  links: readonly Link[];
  planes: readonly Plane[];
  works: readonly Work[];
  rounds: number;
  /** measure every cell, whatever planes, links and works say of themselves */
  everything: boolean;
  context: WorkContext;
}

export interface SessionEvents {
  step(text: string): void;
  /** before each run; `left` runs follow it */
  run(left: number): void;
  problem(text: string): void;
}

type PlanOfCells = Pick<SessionPlan, 'links' | 'planes' | 'works' | 'rounds' | 'everything'>;

/** True when this work is to be measured with this plane on this link. */
export function isPlanned(plan: PlanOfCells, link: Link, plane: Plane, work: Work): boolean {
  if (!link.main && !plane.core) return false; // its settings are for an underlay of MTU 1500 and IPv4
  if (plan.everything) return true;
  return work.main || (plane.core && link.main);
}

/** How many runs there will be. */
export function plannedRuns(plan: PlanOfCells): number {
  const cells = plan.links.flatMap((link) =>
    plan.planes.flatMap((plane) => plan.works.filter((work) => isPlanned(plan, link, plane, work))),
  );
  return cells.length * plan.rounds;
}

/** What stays when a session ends, whether it came to its end or not. */
export class Session {
  readonly runs: Run[] = [];
  readonly planes = new Map<string, PlaneInfo>();
  #left: number;
  readonly #plan: SessionPlan;
  readonly #events: SessionEvents;

  constructor(plan: SessionPlan, events: SessionEvents) {
    this.#plan = plan;
    this.#events = events;
    this.#left = plannedRuns(plan);
  }

  async measure(): Promise<void> {
    for (const link of this.#plan.links) await this.#measureLink(link);
  }

  async #measureLink(link: Link): Promise<void> {
    const stands = new Map<Plane, Stand>();
    const isOnLink = (plane: Plane): boolean =>
      this.#plan.works.some((work) => isPlanned(this.#plan, link, plane, work));
    try {
      for (const plane of this.#plan.planes.filter(isOnLink))
        await this.#build(plane, link, stands);
      for (const work of this.#plan.works) await this.#measureWork(link, work, stands);
    } finally {
      this.#events.step(`${link.id}: taking the nodes down`);
      for (const { rig, meter } of stands.values()) {
        await rig.close();
        meter.close();
      }
    }
  }

  async #build(plane: Plane, link: Link, stands: Map<Plane, Stand>): Promise<void> {
    const { step, problem } = this.#events;
    step(`${link.id}: building ${plane.id}`);
    try {
      const rig = await plane.build(link);
      const meter = await Meter.open(rig, this.#plan.context.tool);
      stands.set(plane, { rig, meter });
      for (const { namespace } of [rig.from, rig.to]) await namespace.sysctl(UNPACED);
      const { id, label, besides } = plane;
      if (!this.planes.has(id))
        this.planes.set(id, { id, label, besides, version: rig.version, podMtu: rig.podMtu });
    } catch (error) {
      problem(`${plane.id} on ${link.id} is left out: ${messageOf(error)}`);
      this.#left -= plannedRuns({ ...this.#plan, links: [link], planes: [plane] });
    }
  }

  /** Rounds of A B C, then C B A, …: drift of the machine hits all alike. */
  async #measureWork(link: Link, work: Work, stands: ReadonlyMap<Plane, Stand>): Promise<void> {
    for (let round = 1; round <= this.#plan.rounds; round++) {
      const order = [...stands].filter(([plane]) => isPlanned(this.#plan, link, plane, work));
      if (round % 2 === 0) order.reverse();
      for (const [plane, stand] of order) {
        this.#events.run(this.#left);
        this.#events.step(`${link.id}: ${work.id}, round ${round}: ${plane.id}`);
        this.runs.push(await this.#measureOnce(link, work, round, plane, stand));
        this.#left--;
      }
    }
  }

  async #measureOnce(
    link: Link,
    work: Work,
    round: number,
    plane: Plane,
    stand: Stand,
  ): Promise<Run> {
    const startedAt = new Date().toISOString();
    const head = { link: link.id, work: work.id, plane: plane.id, round, startedAt };
    await sleep(PAUSE_MS);
    const { result, conditions } = await stand.meter.conditionsOf(() =>
      work.run(stand, this.#plan.context),
    );
    if (result.status === 'fulfilled') return { ...head, ...result.value, conditions };
    const message = messageOf(result.reason);
    this.#events.problem(`${link.id}, ${work.id}, ${plane.id}, round ${round}: ${message}`);
    return { ...head, conditions, error: message };
  }
}

/**
 * A socket that began with a pacing control keeps its pacing when another is chosen for it; reno may be any namespace's default
 * (others only what the host allows), and paces nothing.
 */
const UNPACED = { 'net/ipv4/tcp_congestion_control': 'reno' };

/** Between runs, so that closing connections and full queues of the last one are gone. */
const PAUSE_MS = 150;
