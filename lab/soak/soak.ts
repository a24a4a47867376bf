/** A soak from its schedule: builds the lab, lets pods talk, does one step after the other, judges all the time, takes everything down. */
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../src/shared/errors.ts';
import { Lab, networkConfig } from '../lab.ts';
import { NodeClock } from '../node-clock.ts';
import { Random } from '../random.ts';
import { namespacesOf } from '../record.ts';
import { ALL_FAULTS, faultNamed } from './all-faults.ts';
import { Churn } from './churn.ts';
import { Conversation } from './conversation.ts';
import type { FaultKind } from './fault.ts';
import { Ledger } from './ledger.ts';
import { endAndCleanUp } from './leftovers.ts';
import { judgeLog } from './logs.ts';
import { MachineLoad } from './machine-load.ts';
import { monotonicMs } from './monotonic.ts';
import type { SoakOptions } from './options.ts';
import type { SoakResult, Violation } from './result.ts';
import { Scene } from './scene.ts';
import { NODES, type PlannedFault, type Step, scheduleOf, stepText, timeText } from './schedule.ts';
import { SideTraffic } from './side-traffic.ts';
import { Tally } from './tally.ts';
import { Watch } from './watch.ts';
import type { Window } from './window.ts';

const FAMILIES = [4, 6] as const;
const JUDGE_MS = 1_000;
const WELL_LOOK_MS = 100;
/** Before the next step, when the last one took longer than planned. */
const CALM_MS = 2_000;
/** With Network and node count: peers of each weft node, each family by itself. */
const PEERS = (NODES.weft.length + NODES.kernel.length - 1) * FAMILIES.length;

export class Soak {
  private readonly options: SoakOptions;
  private readonly onStep: (text: string) => void;
  private readonly violations: Violation[] = [];
  private readonly load = new MachineLoad();
  private readonly ledger = new Ledger(this.load);
  private readonly tally = new Tally();
  private readonly away = new Set<number>();
  private readonly schedule: readonly Step[];
  private during = 'before the first fault';
  private done = 0;
  private beganMs = 0;

  constructor(options: SoakOptions, onStep: (text: string) => void) {
    this.options = options;
    this.onStep = onStep;
    this.schedule = scheduleOf(options);
  }

  /** Throws only when the lab itself can't be built or taken down. */
  async run(): Promise<SoakResult> {
    const folder = mkdtempSync(path.join(tmpdir(), 'weft-soak-'));
    try {
      const clock = await NodeClock.create(path.join(folder, 'clock'));
      return await this.inLab(await this.build(clock), clock);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  private build(clock: NodeClock): Promise<Lab> {
    const environment = { WEFT_FAULTS: '1' };
    const weft = NODES.weft.map((node) => ({
      kind: 'weft' as const,
      environment: (NODES.clocked as readonly number[]).includes(node)
        ? { ...environment, ...clock.environment }
        : environment,
    }));
    return Lab.build(
      {
        nodes: [...weft, { kind: 'kernel' }],
        store: this.options.store,
        families: FAMILIES,
        fastPath: this.options.fastPath,
        underlayOffloads: this.options.links,
        flags: ['--ip-masq'],
      },
      this.onStep,
    );
  }

  private async inLab(lab: Lab, clock: NodeClock): Promise<SoakResult> {
    const { prefix } = lab.scope;
    let result: SoakResult;
    try {
      result = await this.withTraffic(lab, clock);
    } finally {
      await lab.close();
    }
    const stayed = await namespacesOf(prefix);
    if (stayed.length > 0) this.violate(`namespaces stayed: ${stayed.join(', ')}`);
    return { ...result, ok: this.violations.length === 0 };
  }

  private async withTraffic(lab: Lab, clock: NodeClock): Promise<SoakResult> {
    const scene = new Scene(lab, clock, JSON.stringify(networkConfig('vxlan', FAMILIES)));
    // As whoever sets up a host's network does: the kernel alone takes the IPv6 addresses of a device that goes down.
    for (const node of lab.weftNodes)
      await node.namespace.sysctl({ 'net/ipv6/conf/all/keep_addr_on_down': 1 });
    for (const kind of ALL_FAULTS) await kind.prepare?.(scene);
    const tell = (problem: string): void => this.violate(problem);
    const watch = new Watch(lab.weftNodes, (node) => this.away.has(node), tell);
    const explains = this.ledger.explains.bind(this.ledger);
    const side = new SideTraffic(lab, new Random(this.options.seed + 1), explains, tell);
    const churn = new Churn(lab, new Random(this.options.seed + 2));
    const conversation = await Conversation.start(lab, (report) => this.ledger.add(report));
    this.beganMs = monotonicMs();
    for (const part of [watch, side, churn]) part.start();
    const timers = [...this.load.measure(), this.judgeOften(conversation)];
    await this.doSteps(scene, watch);
    this.onStep('waiting until all that is under way has come');
    await churn.stop();
    await side.stop();
    for (const timer of timers) clearInterval(timer);
    await conversation.stop();
    for (const problem of this.ledger.settle(Number.POSITIVE_INFINITY)) tell(problem);
    await watch.stop();
    this.onStep('ending the daemons and cleaning up');
    const logs = lab.weftNodes.map(({ name, log }) => ({ name, log }));
    const minutes = (monotonicMs() - this.beganMs) / 60_000;
    for (const { name, log } of logs)
      for (const problem of judgeLog(name, log, this.done, minutes)) tell(problem);
    if (this.violations.length === 0) for (const problem of await endAndCleanUp(lab)) tell(problem);
    const { seed, store, fastPath, links } = this.options;
    const { sent, got, lost, calmSilenceMs } = this.ledger;
    const result: SoakResult = {
      schemaVersion: 1,
      seed,
      minutes: this.options.minutes,
      store,
      fastPath,
      links,
      carried: watch.carried,
      ok: true,
      ranMs: Math.round(monotonicMs() - this.beganMs),
      steps: { done: this.done, planned: this.schedule.length },
      faults: this.tally.figures(this.ledger.felt),
      packets: { sent, received: got, lost, calmSilenceMs },
      side: side.counts,
      churn: { changes: churn.changes, refused: churn.refused },
      lives: watch.figures,
      logBytes: Object.fromEntries(logs.map(({ name, log }) => [name, log.length])),
      machine: {
        worstLateMs: Math.round(this.load.worstLateMs),
        worstStretch: Math.round(this.load.worstStretch * 10) / 10,
      },
      violations: this.violations,
      evidence: null,
    };
    if (this.violations.length > 0) result.evidence = this.keepEvidence(lab, result);
    return result;
  }

  private async doSteps(scene: Scene, watch: Watch): Promise<void> {
    const endMs = this.beganMs + this.options.minutes * 60_000;
    let freeAtMs = this.beganMs;
    for (const [i, step] of this.schedule.entries()) {
      const atMs = Math.max(this.beganMs + step.atMs, freeAtMs + CALM_MS);
      if (atMs > endMs) break;
      if (!(await this.calmUntil(atMs))) return;
      this.during = `step ${i + 1}: ${stepText(step)}`;
      const healed = await this.doStep(scene, watch, step);
      freeAtMs = monotonicMs();
      this.done++;
      this.onStep(
        `[${timeText(freeAtMs - this.beganMs)} of ${timeText(this.options.minutes * 60_000)}] ${stepText(step)}: ${healed}`,
      );
    }
    await this.calmUntil(endMs);
  }

  /** False at once when something was violated. */
  private async calmUntil(atMs: number): Promise<boolean> {
    while (this.violations.length === 0) {
      const leftMs = atMs - monotonicMs();
      if (leftMs <= 0) return true;
      await sleep(Math.min(leftMs, 200));
    }
    return false;
  }

  private async doStep(scene: Scene, watch: Watch, step: Step): Promise<string> {
    const acts = step.faults.map((planned) => this.act(scene, planned));
    const windows = await Promise.all(acts);
    const kinds = step.faults.map(({ fault }) => faultNamed(fault));
    const overMs = Math.max(...windows.map((window) => window.overMs ?? 0));
    const wellAfterMs = await this.untilWell(watch, overMs, kinds);
    for (const kind of kinds) this.tally.heal(kind.name, wellAfterMs);
    return `well after ${(wellAfterMs / 1000).toFixed(1)} s`;
  }

  private async act(scene: Scene, planned: PlannedFault): Promise<Window> {
    const kind = faultNamed(planned.fault);
    const window: Window = {
      fault: kind.name,
      target: planned.target,
      nodes: nodesOf(kind, planned.target),
      loses: kind.loses,
      boundMs: kind.boundMs,
      beganMs: monotonicMs(),
    };
    this.ledger.open(window);
    if (kind.target === 'mortal') this.away.add(planned.target);
    const over = (): void => {
      window.overMs ??= monotonicMs();
    };
    try {
      await kind.happen(scene, { target: planned.target, heldMs: planned.heldMs, over });
    } catch (error) {
      this.violate(messageOf(error));
    }
    over();
    this.away.delete(planned.target);
    return window;
  }

  /** How long after `overMs` a daemon last said that something was amiss: looked at until the fault can't be felt any more. */
  private async untilWell(
    watch: Watch,
    overMs: number,
    kinds: readonly FaultKind[],
  ): Promise<number> {
    const boundMs = Math.max(...kinds.map((kind) => kind.boundMs));
    const healMs = Math.max(...kinds.map((kind) => kind.healMs));
    for (let wellAfterMs = 0; ; ) {
      const why = await watch.whyNotWell(PEERS);
      const now = monotonicMs();
      const sinceMs = Math.round(now - overMs);
      if (why !== '') wellAfterMs = sinceMs;
      else if (sinceMs > boundMs) return wellAfterMs;
      const mostMs = healMs * this.load.stretch(overMs, now) + this.load.lateMs(overMs, now);
      if (why !== '' && sinceMs > mostMs) {
        this.violate(`not well ${sinceMs} ms after the cause was gone: ${why}`);
        return wellAfterMs;
      }
      await sleep(WELL_LOOK_MS);
    }
  }

  private judgeOften(conversation: Conversation): NodeJS.Timeout {
    return setInterval(() => {
      for (const problem of this.ledger.settle()) this.violate(problem);
      if (conversation.ended !== '') this.violate(`a talker ended: ${conversation.ended}`);
    }, JUDGE_MS);
  }

  private violate(text: string): void {
    const atMs = Math.round(monotonicMs() - this.beganMs);
    this.violations.push({ atMs, during: this.during, text });
  }

  /** What is needed to understand a failure; the lab's own folder goes with it. */
  private keepEvidence(lab: Lab, result: SoakResult): string {
    const folder = mkdtempSync(path.join(tmpdir(), `weft-soak-seed-${this.options.seed}-`));
    for (const node of lab.weftNodes)
      copyFileSync(node.logFile, path.join(folder, `${node.name}.log`));
    const save = (name: string, value: object): void =>
      writeFileSync(path.join(folder, name), `${JSON.stringify(value, null, 2)}\n`);
    save('schedule.json', this.schedule);
    save('windows.json', {
      beganMs: this.beganMs,
      windows: [...this.ledger.felt].map(([window, felt]) => ({ ...window, ...felt })),
    });
    save('result.json', result);
    writeFileSync(
      path.join(folder, 'stock-node.txt'),
      lab.kernelNodes[0]?.problems.join('\n') ?? '',
    );
    return folder;
  }
}

function nodesOf({ touches }: FaultKind, target: number): readonly number[] {
  if (touches === 'nobody') return [];
  return touches === 'kernel' ? NODES.kernel : [target];
}
