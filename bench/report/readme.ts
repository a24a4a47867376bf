/** The README's figures: a short table and the plots, between two markers. */
import { EXIT, WeftError } from '../../src/shared/errors.ts';
import type { BenchResult } from '../net/result.ts';
import { find } from '../net/statistics.ts';
import { short } from '../net/table.ts';

const BEGIN = '<!-- bench:begin -->';
const END = '<!-- bench:end -->';
/** Plots that a front page needs. */
export const README_PLOTS = ['ratio', 'throughput', 'packet-rate', 'latency'];

function tableMarkdown(result: BenchResult): string {
  const planes = ['weft', 'weft-kernel', 'kernel-weft'].filter((id) =>
    result.planes.some((plane) => plane.id === id),
  );
  const columns = result.links.flatMap((link) => planes.map((plane) => ({ link: link.id, plane })));
  const head = [
    'work',
    ...result.links.map((link) => `kernel VXLAN, ${link.id}`),
    ...columns.map(({ link, plane }) => `${plane}, ${link}`),
  ];
  const rows = result.works.map((work) => {
    const absolute = (link: string): string => {
      const median = find(result, link, work.id, 'kernel')?.values[work.metric]?.median;
      return median === undefined ? '–' : `${short(median)} ${work.unit}`;
    };
    const ratio = (link: string, plane: string): string =>
      find(result, link, work.id, plane)?.ratio?.median.toFixed(2) ?? '–';
    return [
      work.label,
      ...result.links.map((link) => absolute(link.id)),
      ...columns.map(({ link, plane }) => ratio(link, plane)),
    ];
  });
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

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
  const text = [
    `Medians of ${settings.rounds} rounds; kernel VXLAN in its own unit, the others as ratio to it in the same round (round trips: less is`,
    `better). ${machine.cpu}, ${machine.cores} cores for both nodes, both pods and the tools, Linux ${machine.kernel}, Node ${machine.node},`,
    `TCP congestion control ${settings.congestion}, weft ${weft.version} at ${weft.commit}, ${result.startedAt.slice(0, 10)}.`,
    '',
    tableMarkdown(result),
    '',
    ...plots.map((name) => `![${name.replace('.svg', '')}](${folder}/${name})`),
  ];
  return `${readme.slice(0, begin)}${BEGIN}\n${text.join('\n')}\n${readme.slice(end)}`;
}
