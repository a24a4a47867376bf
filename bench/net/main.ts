/** npm run bench:net: measures weft beside kernel VXLAN and other overlays, see NET_HELP. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { commandEnvironment, requireCommands, requireRoot } from '../../lab/command.ts';
import { Progress } from '../../lab/progress.ts';
import { buildTool } from '../../lab/tool.ts';
import { EXIT, messageOf, WeftError } from '../../src/shared/errors.ts';
import { projectRoot } from '../../src/shared/root.ts';
import { renderHtml } from '../report/html.ts';
import { updateReadme } from '../report/main.ts';
import { readResult } from '../report/schema.ts';
import { busyWarning, isDisturbed } from './busy.ts';
import { renderComparison } from './compare.ts';
import { sweepGroups } from './cpu-group.ts';
import { toCsv } from './csv.ts';
import { LINKS } from './links.ts';
import { availableCongestion, describeMachine, describeWeft } from './machine.ts';
import { Watch } from './meter.ts';
import { choose, NET_HELP, type NetOptions, parseNetOptions } from './options.ts';
import { installMissing, PLANES, QUICK_PLANES, withUnpacked } from './planes/all.ts';
import type { Plane } from './planes/plane.ts';
import type { BenchResult, Machine } from './result.ts';
import { plannedRuns, Session, type SessionPlan } from './session.ts';
import { summarize } from './statistics.ts';
import { renderTable } from './table.ts';
import { WORKS } from './works/all.ts';
import type { Work } from './works/work.ts';

function plannedPlanes(options: NetOptions): Plane[] {
  const ids = options.planes.length > 0 ? options.planes : options.quick ? QUICK_PLANES : undefined;
  return ids ? choose('--planes', ids, PLANES) : [...PLANES];
}

/** Those whose congestion control this kernel lacks are left out unless somebody asked for them. */
function plannedWorks(options: NetOptions): Work[] {
  if (options.works.length > 0) return choose('--works', options.works, WORKS);
  const controls = availableCongestion();
  return WORKS.filter(
    ({ quick, congestion }) =>
      (quick || !options.quick) && (congestion === undefined || controls.includes(congestion)),
  );
}

function listing(): string {
  const planes = PLANES.map(
    (p) => `  ${p.id.padEnd(14)} ${p.label}${p.besides && `; ${p.besides}`}`,
  );
  const works = WORKS.map((work) => `  ${work.id.padEnd(14)} ${work.label}, in ${work.unit}`);
  const links = LINKS.map((link) => `  ${link.id.padEnd(14)} ${link.label}`);
  return `data planes\n${planes.join('\n')}\nkinds of work\n${works.join('\n')}\nlinks\n${links.join('\n')}\n`;
}

/** "4 min 10 s left", from the time that the runs so far took. */
class Clock {
  readonly #startedMs = Date.now();
  #first: number | undefined;
  #left = 0;

  run(left: number): void {
    this.#first ??= left;
    this.#left = left;
  }

  get text(): string {
    if (this.#first === undefined || this.#first === this.#left) return '';
    const msPerRun = (Date.now() - this.#startedMs) / (this.#first - this.#left);
    const seconds = Math.round((msPerRun * this.#left) / 1000);
    const time =
      seconds >= 60 ? `${Math.floor(seconds / 60)} min ${seconds % 60} s` : `${seconds} s`;
    return `[${this.#left} runs, ${time} left] `;
  }
}

function resultOf(
  session: Session,
  plan: SessionPlan,
  options: NetOptions,
  startedAt: string,
  machine: Machine,
  complete: boolean,
): BenchResult {
  const works = plan.works.map(
    ({ id, label, metric, unit, better, loss, cost, tail, congestion }) => ({
      id,
      label,
      metric,
      unit,
      better,
      loss,
      cost,
      tail,
      congestion,
    }),
  );
  return {
    schemaVersion: 1,
    kind: 'net',
    startedAt,
    finishedAt: new Date().toISOString(),
    complete,
    weft: describeWeft(),
    machine,
    settings: {
      rounds: plan.rounds,
      seconds: plan.context.seconds,
      warmupSeconds: plan.context.warmupSeconds,
      quick: options.quick,
      congestion: options.congestion,
    },
    links: plan.links.map(({ id, label }) => ({ id, label })),
    planes: [...session.planes.values()],
    works,
    runs: session.runs,
    summaries: summarize(session.runs, works),
  };
}

function outputFile(options: NetOptions, startedAt: string): string {
  if (options.out !== undefined) return path.resolve(options.out);
  const stamp = startedAt.slice(0, 19).replaceAll(':', '');
  return path.join(projectRoot(), 'bench/out', `net-${stamp}.json`);
}

function keepAsRecord(result: BenchResult): void {
  const file = path.join(projectRoot(), 'bench/results/net.json');
  writeFileSync(file, `${JSON.stringify(result)}\n`);
  updateReadme(result);
}

/** Before anything is measured: there is still time to stop what disturbs. */
async function warnWhenBusy(problem: (text: string) => void): Promise<void> {
  const watch = new Watch(() => []);
  await sleep(LOOK_MS);
  const conditions = watch.end();
  if (!isDisturbed({ conditions })) return;
  const { foreignPct, stealPct, load1 } = conditions;
  problem(
    `warning: this machine is busy: others take ${foreignPct.toFixed(0)} % of its cores, the hypervisor ${stealPct.toFixed(0)} %, ` +
      `load ${load1}; what is measured now will not be what the machine can do`,
  );
}

const LOOK_MS = 1_000;

async function measure(options: NetOptions): Promise<number> {
  requireRoot();
  requireCommands();
  // Read first: a file that is no result should not be found out after hours.
  const earlier = options.compare === undefined ? undefined : readResult(options.compare);
  const planes = plannedPlanes(options);
  const progress = new Progress();
  const clock = new Clock();
  const problem = (text: string): void => {
    progress.clear();
    process.stderr.write(`${text}\n`);
  };
  sweepGroups();
  const step = (text: string): void => progress.step(text);
  const installed = await installMissing(planes, step, problem);
  const usable = await withUnpacked(installed, step, problem);
  const works = await withUnpacked(plannedWorks(options), step, problem);
  const { rounds, seconds, warmupSeconds, links } = options;
  const { congestion } = options;
  const context = { seconds, warmupSeconds, tool: await buildTool('traffic'), congestion };
  const everything = options.works.length > 0;
  const plan: SessionPlan = { links, planes: usable, works, rounds, everything, context };
  // Before anything is measured: it takes a core for a moment.
  const machine = describeMachine(await buildTool('costs'));
  const session = new Session(plan, {
    step: (text) => progress.step(clock.text + text),
    run: (left) => clock.run(left),
    problem,
  });
  await warnWhenBusy(problem);
  problem(`${plannedRuns(plan)} runs`);
  const startedAt = new Date().toISOString();
  const file = outputFile(options, startedAt);
  const save = (complete: boolean): BenchResult => {
    const result = resultOf(session, plan, options, startedAt, machine, complete);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, `${JSON.stringify(result)}\n`);
    return result;
  };
  const saveUnfinished = (): void => void save(false);
  process.once('SIGINT', saveUnfinished).once('SIGTERM', saveUnfinished);
  await session.measure();
  progress.clear();
  const result = save(true);
  process.stdout.write(options.json ? `${JSON.stringify(result)}\n` : renderTable(result));
  if (earlier) process[options.json ? 'stderr' : 'stdout'].write(renderComparison(earlier, result));
  if (options.csv !== undefined) writeFileSync(options.csv, toCsv(result));
  if (options.record) keepAsRecord(result);
  const warning = busyWarning(result);
  if (warning !== undefined) process.stderr.write(`warning: ${warning}\n`);
  const report = file.replace(/(\.json)?$/, '.html');
  writeFileSync(report, renderHtml(result));
  const relative = (name: string): string => path.relative(process.cwd(), name);
  process.stderr.write(`raw runs and summaries: ${relative(file)}; report: ${relative(report)}\n`);
  return result.runs.every((run) => run.error === undefined) ? 0 : EXIT.failure;
}

async function main(): Promise<number> {
  const options = parseNetOptions(process.argv.slice(2));
  if (options.help || options.list) {
    process.stdout.write(options.help ? NET_HELP : listing());
    return 0;
  }
  process.env['PATH'] = commandEnvironment()['PATH'];
  return measure(options);
}

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`bench:net: ${messageOf(error)}\n`);
  return error instanceof WeftError ? error.exitCode : EXIT.failure;
});
