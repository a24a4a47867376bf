/** weft drops: what was not forwarded and why; with --follow the headers of such packets as they come. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { type DropSample, type DropsPage, dropsShape } from '../../api/drops.ts';
import { pageUrl } from '../../api/pages.ts';
import { DROP_NAMES, DROP_REASONS, type DropName } from '../../memory/drops.ts';
import { fetchPage } from '../client.ts';
import { renderTable } from '../render.ts';
import { addShow, fetchShape, type OnExit, type ShowOptions } from '../show.ts';
import { chooseStyle, type Style } from '../style.ts';

const FOLLOW_MS = 250;

interface DropsOptions {
  all?: boolean;
  follow?: boolean;
}

export function addDrops(program: Command, onExit: OnExit): void {
  let isAll = false;
  let before: DropsPage | undefined;
  addShow<typeof dropsShape, DropsOptions>(program, onExit, {
    name: 'drops',
    description: 'packets that were not forwarded, by reason and worker',
    options: (command) =>
      command
        .option('--all', 'include reasons with a count of zero')
        .option('--follow', "print dropped packets' headers live (at most 200/s)"),
    shape: dropsShape,
    answer: async (options) => {
      if (options.follow) await follow(options);
      isAll = options.all === true;
      return fetchPage(options.adminSocket, '/drops');
    },
    render: (page, style) => {
      const text = renderDrops(page, before, isAll, style);
      before = page;
      return text;
    },
  });
}

/** Ends with the program. */
async function follow(options: ShowOptions & DropsOptions): Promise<never> {
  const style = chooseStyle(options.color, process.stdout);
  const ask = (since: number): Promise<DropsPage> =>
    fetchShape(options.adminSocket, pageUrl('/drops', { since }), dropsShape);
  let { nextSequence } = await ask(Number.MAX_SAFE_INTEGER);
  for (;;) {
    const page = await ask(nextSequence);
    for (const sample of page.samples)
      process.stdout.write(
        `${options.json ? JSON.stringify(sample) : renderSample(sample, style)}\n`,
      );
    // A daemon that was started anew counts from the beginning.
    nextSequence = page.nextSequence;
    await sleep(FOLLOW_MS);
  }
}

export function renderSample(sample: DropSample, style: Style): string {
  const { at, worker, direction, reason, outer, packet } = sample;
  const farEnd = outer === null ? '' : `${direction === 'inbound' ? 'from' : 'to'} ${outer}: `;
  return `${style.dim(at.slice(11, 23))} ${worker} ${style.warn(reason)} ${farEnd}${packet}`;
}

/** `before` is the page of the last look: there is a column for what came since. */
export function renderDrops(
  page: DropsPage,
  before: DropsPage | undefined,
  isAll: boolean,
  style: Style,
): string {
  if (page.workers.length === 0)
    return 'no workers: with this backend the kernel carries the packets';
  const rows = DROP_NAMES.filter((name) => isAll || totalOf(page, name) > 0).map((name) => {
    const since = before ? [deltaText(totalOf(page, name) - totalOf(before, name), style)] : [];
    const counts = page.workers.map((worker) => String(countOf(worker, name)));
    const { text, advice } = DROP_REASONS[name];
    return [name, ...counts, String(totalOf(page, name)), ...since, `${text}: ${advice}`];
  });
  if (rows.length === 0) return 'nothing was dropped';
  const workers = page.workers.map(({ worker }) => `WORKER ${worker}`);
  const head = ['REASON', ...workers, 'TOTAL', ...(before ? ['NEW'] : []), 'WHAT, AND WHAT TO DO'];
  return renderTable(head, rows);
}

function deltaText(delta: number, style: Style): string {
  return delta > 0 ? style.warn(`+${delta}`) : '';
}

function totalOf({ workers }: DropsPage, name: DropName): number {
  return workers.reduce((sum, worker) => sum + countOf(worker, name), 0);
}

function countOf(worker: DropsPage['workers'][number], name: DropName): number {
  return worker[DROP_REASONS[name].direction][name] ?? 0;
}
