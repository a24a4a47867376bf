/** The README's figures: a short table and the plots, between two markers. */
import { EXIT, WeftError } from '../../src/shared/errors.ts';
import { busyWarning } from '../net/busy.ts';
import { describeCosts } from '../net/machine.ts';
import type { BenchResult, LinkInfo, Quantity, Summary, WorkInfo } from '../net/result.ts';
import { BASELINE, find } from '../net/statistics.ts';
import { quantityText, short } from '../net/table.ts';

const BEGIN = '<!-- bench:begin -->';
const END = '<!-- bench:end -->';
/** Plots that a front page needs. */
export const README_PLOTS = [
  'ratio',
  'throughput',
  'cpu-per-gb',
  'packet-rate',
  'loss',
  'cpu-per-packets',
  'latency',
];

const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
/** Planes that a front page needs, as its readers call them: weft takes the fast path by itself where it may. */
const COLUMNS: readonly [plane: string, title: string][] = [
  ['weft-fast', 'weft'],
  ['weft', 'weft, workers alone'],
  ['fast-kernel', 'weft → kernel'],
  ['kernel-fast', 'kernel → weft'],
  ['weft-kernel', 'workers → kernel'],
  ['kernel-weft', 'kernel → workers'],
  ['none', 'no overlay: the limit'],
];

/** One link's table: the kernel in its own unit, the others as ratio to it, then loss and cost of the kernel and of weft. */
function linkTable(result: BenchResult, link: LinkInfo): string {
  const columns = COLUMNS.filter(([id]) => result.planes.some((plane) => plane.id === id));
  const ours = columns.filter(([id]) => id === 'weft-fast' || id === 'weft');
  const names = ['kernel', ...ours.map(([, title]) => title.replace('weft, ', ''))].join(', ');
  const titles = columns.map(([, title]) => title);
  const head = ['work', 'kernel VXLAN', ...titles, `lost: ${names}`, `CPU: ${names}`];
  const rows = result.works.flatMap((work) => {
    const of = (plane: string) => find(result, link.id, work.id, plane);
    const kernel = of(BASELINE);
    if (!kernel) return [];
    const each = (quantity: Quantity | undefined): string => {
      if (quantity === undefined) return '–';
      const all = [kernel, ...ours.map(([plane]) => of(plane))];
      return `${all.map((summary) => quantityText(summary, quantity)).join(', ')} ${quantity.unit}`;
    };
    const main = kernel.values[work.metric];
    return [
      [
        work.label,
        main ? `${short(main.median)} ${work.unit}${tailText(kernel, work)}` : '–',
        ...columns.map(([plane]) => ratioCell(of(plane), work)),
        each(work.loss),
        each(work.cost),
      ],
    ];
  });
  return [`**${link.label}**`, '', line(head), line(head.map(() => '---')), ...rows.map(line)].join(
    '\n',
  );
}

function tailText(summary: Summary, { tail }: WorkInfo): string {
  const found = tail === undefined ? undefined : summary.values[tail];
  return found ? ` (p99 ${short(found.median)} µs)` : '';
}

/** "0.78 (0.67–0.79)" */
function ratioCell(summary: Summary | undefined, work: WorkInfo): string {
  const ratio = summary?.ratio;
  if (!ratio) return '–';
  const spread = `${ratio.min.toFixed(2)}–${ratio.max.toFixed(2)}`;
  return `${ratio.median.toFixed(2)} (${spread})${tailText(summary, work)}`;
}

const AS_IT_COMES = [
  '"weft" is as it comes, with the fast path, which carries TCP over IPv4; "workers alone" is `--fast-path=off`.',
];

/** What flatters a userspace data plane, beside the figures that it flatters. */
export const CAVEATS = [
  'A worker of weft spins for up to 40 µs before it sleeps, which costs the CPU time beside a round trip; where switching between',
  'processes is dear, and nodes and pods share two cores, a round trip is long all the same.',
  'A flood delivers more than the kernel by using a second core, and loses packets in the TUN queue, as nothing slows the sender down: the',
  'highest rate without loss is the one to plan with. Nodes, pods and tools share the cores, so CPU time is what limits each figure.',
];

/** README text with the block replaced. `plots` are file names in `folder`. Throws WeftError when the markers are missing. */
export function replaceBlock(
  readme: string,
  result: BenchResult,
  folder: string,
  plots: readonly string[],
): string {
  const begin = readme.indexOf(BEGIN);
  const end = readme.indexOf(END);
  if (begin < 0 || end < begin) {
    const message = `README.md has no block between ${BEGIN} and ${END}; put both lines where the figures belong`;
    throw new WeftError('ERR_README', EXIT.failure, message);
  }
  const { machine, settings, weft } = result;
  const warning = busyWarning(result);
  const text = [
    ...(warning === undefined ? [] : [`**Not to rely on:** ${warning}.`, '']),
    `Medians of ${settings.rounds} rounds of ${settings.seconds} s (least–greatest); kernel VXLAN in its own unit, the others as ratio to it in the same round`,
    `(times: less is better). ${machine.cpu}, ${machine.cores} cores for both nodes, both pods and the tools, Linux ${machine.kernel}, Node ${machine.node},`,
    `TCP by ${settings.congestion} unless the row says another, weft ${weft.version} at ${weft.commit}, ${result.startedAt.slice(0, 10)}.`,
    ...(result.planes.some(({ id }) => id === 'weft-fast') ? AS_IT_COMES : []),
    ...describeCosts(machine).map((line) => `${line}.`),
    '',
    ...CAVEATS,
    '',
    ...result.links.flatMap((link) => [linkTable(result, link), '']),
    ...plots.map((name) => `![${name.replace('.svg', '')}](${folder}/${name})`),
  ];
  return `${readme.slice(0, begin)}${BEGIN}\n${text.join('\n')}\n${readme.slice(end)}`;
}
