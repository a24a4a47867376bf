/** One run of bench:net: rigs of a link side by side, rounds of work over them, everything kept. */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../src/shared/errors.ts';
import type { Plane, Rig } from './planes/plane.ts';
import type { LinkId, PlaneInfo, Run } from './result.ts';
import type { Work, WorkContext } from './works.ts';

export interface SessionPlan {
  links: readonly LinkId[];
  planes: readonly Plane[];
  works: readonly Work[];
  rounds: number;
  context: WorkContext;
}

export interface SessionEvents {
  step(text: string): void;
  /** before each run; `left` runs follow it */
  run(left: number): void;
  problem(text: string): void;
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
    this.#left = plan.links.length * plan.planes.length * plan.works.length * plan.rounds;
  }

  async measure(): Promise<void> {
    for (const link of this.#plan.links) await this.#measureLink(link);
  }

  async #measureLink(link: LinkId): Promise<void> {
    const rigs = new Map<Plane, Rig>();
    try {
      for (const plane of this.#plan.planes) await this.#build(plane, link, rigs);
      for (const work of this.#plan.works) await this.#measureWork(link, work, rigs);
    } finally {
      this.#events.step(`${link}: taking the nodes down`);
      for (const rig of rigs.values()) await rig.close();
    }
  }

  async #build(plane: Plane, link: LinkId, rigs: Map<Plane, Rig>): Promise<void> {
    const { step, problem } = this.#events;
    step(`${link}: building ${plane.id}`);
    try {
      const rig = await plane.build(link);
      if (this.#plan.context.congestion !== undefined) await useUnpaced(rig);
      rigs.set(plane, rig);
      const { id, label, besides } = plane;
      this.planes.set(id, { id, label, besides, version: rig.version, podMtu: rig.podMtu });
    } catch (error) {
      problem(`${plane.id} on ${link} is left out: ${messageOf(error)}`);
      this.#left -= this.#plan.works.length * this.#plan.rounds;
    }
  }

  /** Rounds of A B C, then C B A, …: drift of the machine hits all alike. */
  async #measureWork(link: LinkId, work: Work, rigs: ReadonlyMap<Plane, Rig>): Promise<void> {
    for (let round = 1; round <= this.#plan.rounds; round++) {
      const order = [...rigs];
      if (round % 2 === 0) order.reverse();
      for (const [plane, rig] of order) {
        this.#events.run(this.#left);
        this.#events.step(`${link}: ${work.id}, round ${round}: ${plane.id}`);
        this.runs.push(await this.#measureOnce(link, work, round, plane, rig));
        this.#left--;
      }
    }
  }

  async #measureOnce(
    link: LinkId,
    work: Work,
    round: number,
    plane: Plane,
    rig: Rig,
  ): Promise<Run> {
    const startedAt = new Date().toISOString();
    const head = { link, work: work.id, plane: plane.id, round, startedAt };
    await sleep(PAUSE_MS);
    try {
      return { ...head, ...(await work.run(rig, this.#plan.context)) };
    } catch (error) {
      const message = messageOf(error);
      this.#events.problem(`${link}, ${work.id}, ${plane.id}, round ${round}: ${message}`);
      return { ...head, error: message };
    }
  }
}

/**
 * A socket that began with a pacing control keeps its pacing when another is chosen for it; reno may be any namespace's default
 * (others only what the host allows), and paces nothing.
 */
async function useUnpaced(rig: Rig): Promise<void> {
  for (const { namespace } of [rig.from, rig.to])
    await namespace.sysctl({ 'net/ipv4/tcp_congestion_control': 'reno' });
}

/** Between runs, so that closing connections and full queues of the last one are gone. */
const PAUSE_MS = 150;
