/** npm run bench:net: measures weft beside kernel VXLAN and other overlays, see NET_HELP. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { commandEnvironment, requireCommands, requireRoot } from '../../lab/command.ts';
import { Progress } from '../../lab/progress.ts';
import { buildTool } from '../../lab/tool.ts';
import { EXIT, messageOf, WeftError } from '../../src/shared/errors.ts';
import { projectRoot } from '../../src/shared/root.ts';
import { renderHtml } from '../report/html.ts';
import { describeMachine, describeWeft, hostCongestion } from './machine.ts';
import { choose, NET_HELP, type NetOptions, parseNetOptions } from './options.ts';
import { installMissing, PLANES, QUICK_PLANES } from './planes/all.ts';
import type { Plane } from './planes/plane.ts';
import type { BenchResult, LinkInfo } from './result.ts';
import { Session, type SessionPlan } from './session.ts';
import { summarize } from './statistics.ts';
import { renderTable } from './table.ts';
import { WORKS, type Work } from './works.ts';

const LINKS: readonly LinkInfo[] = [
  { id: 'veth', label: 'veth: offloads on, super-packets cross by reference' },
  { id: 'wire', label: 'wire: no segmentation offload on the underlay, packets have MTU size' },
];

function plannedPlanes(options: NetOptions): Plane[] {
  const ids = options.planes.length > 0 ? options.planes : options.quick ? QUICK_PLANES : undefined;
  return ids ? choose('--planes', ids, PLANES) : [...PLANES];
}

function plannedWorks(options: NetOptions): Work[] {
  if (options.works.length > 0) return choose('--works', options.works, WORKS);
  return WORKS.filter((work) => work.quick || !options.quick);
}

function listing(): string {
  const planes = PLANES.map(
    (p) => `  ${p.id.padEnd(14)} ${p.label}${p.besides && `; ${p.besides}`}`,
  );
  const works = WORKS.map((work) => `  ${work.id.padEnd(14)} ${work.label}, in ${work.unit}`);
  return `data planes\n${planes.join('\n')}\nkinds of work\n${works.join('\n')}\n`;
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
  complete: boolean,
): BenchResult {
  const works = plan.works.map(({ id, label, metric, unit, better }) => ({
    id,
    label,
    metric,
    unit,
    better,
  }));
  return {
    schemaVersion: 1,
    kind: 'net',
    startedAt,
    finishedAt: new Date().toISOString(),
    complete,
    weft: describeWeft(),
    machine: describeMachine(),
    settings: {
      rounds: plan.rounds,
      seconds: plan.context.seconds,
      warmupSeconds: plan.context.warmupSeconds,
      quick: options.quick,
      congestion: options.congestion ?? hostCongestion(),
    },
    links: LINKS.filter((link) => plan.links.includes(link.id)),
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

async function measure(options: NetOptions): Promise<number> {
  requireRoot();
  requireCommands();
  const planes = plannedPlanes(options);
  const works = plannedWorks(options);
  const progress = new Progress();
  const clock = new Clock();
  const problem = (text: string): void => {
    progress.clear();
    process.stderr.write(`${text}\n`);
  };
  const usable = await installMissing(planes, (text) => progress.step(text), problem);
  const { rounds, seconds, warmupSeconds, links } = options;
  const { congestion } = options;
  const context = { seconds, warmupSeconds, tool: await buildTool('traffic'), congestion };
  const plan: SessionPlan = { links, planes: usable, works, rounds, context };
  const session = new Session(plan, {
    step: (text) => progress.step(clock.text + text),
    run: (left) => clock.run(left),
    problem,
  });
  const startedAt = new Date().toISOString();
  const file = outputFile(options, startedAt);
  const save = (complete: boolean): BenchResult => {
    const result = resultOf(session, plan, options, startedAt, complete);
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
