/** The report: one HTML file that needs nothing else. */
import { busyWarning } from '../net/busy.ts';
import { describeCosts } from '../net/machine.ts';
import type { BenchResult } from '../net/result.ts';
import { METHOD } from './method.ts';
import { makePlots, type Plot } from './plots.ts';
import { CAVEATS } from './readme.ts';
import {
  failureTable,
  medianTable,
  planeTable,
  ratioTable,
  rawTable,
  type Table,
} from './tables.ts';

/** Plots have fixed colours, which are those of paper: in a dark page ground and ink change places, the data's colours stay. */
const DARK_PLOTS = `@media (prefers-color-scheme: dark) {
figure { background: #14181e; }
figure svg [fill="#ffffff"], figure svg [fill="#fff"], figure svg [fill="rgb(255,255,255)"] { fill: #14181e; }
figure svg text[fill] { fill: #e6e9ee; }
figure svg [fill="#333a45"] { fill: #b9c2ce; } figure svg [stroke="#333a45"] { stroke: #b9c2ce; }
figure svg [stroke="#E0E6F1"], figure svg [stroke="#e0e6f1"] { stroke: #39424e; }
}`;

const STYLE = `
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5a6472; --line: #d8dde4; --ground: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #a3adba; --line: #39424e; --ground: #14181e; } }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--ground); margin: 0 auto; max-width: 62rem; padding: 1rem; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.25rem; margin-top: 2.2rem; } .soft { color: var(--soft); }
figure { background: #fff; border: 1px solid var(--line); border-radius: 8px; margin: 1rem 0; padding: .3rem; }
figure svg { width: 100%; height: auto; display: block; }
nav a { margin-right: 1rem; } .warning { border: 2px solid #c0392b; border-radius: 6px; padding: .5rem .8rem; }
${DARK_PLOTS}
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .88rem; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .6rem; text-align: left; vertical-align: top; }
pre { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; padding: .6rem; font-size: .85rem; }
`;

/** Text for HTML content and attributes. */
export function escapeHtml(text: string): string {
  const entities: Record<string, string> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  };
  return text.replaceAll(/[&<>"']/g, (character) => entities[character] as string);
}

function tableHtml(table: Table): string {
  const row = (tag: string, cells: readonly string[]): string =>
    `<tr>${cells.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join('')}</tr>`;
  const body = table.rows.map((cells) => row('td', cells)).join('\n');
  return `<div class="scroll"><table><thead>${row('th', table.head)}</thead><tbody>${body}</tbody></table></div>`;
}

function plotHtml(plot: Plot): string {
  return `<figure role="img" aria-label="${escapeHtml(`${plot.title}, ${plot.name}`)}">${plot.svg}</figure>`;
}

/** A heading that the table of contents leads to. */
function section(title: string): string {
  return `<h2 id="${anchorOf(title)}">${title}</h2>`;
}

function anchorOf(title: string): string {
  return title.toLowerCase().replaceAll(' ', '-');
}

function contentsHtml(titles: readonly string[]): string {
  const links = titles.map((title) => `<a href="#${anchorOf(title)}">${title}</a>`);
  return `<nav aria-label="contents">${links.join('')}</nav>`;
}

function headHtml(result: BenchResult): string {
  const { machine, settings, weft } = result;
  const lines = [
    `weft ${weft.version} (${weft.commit}${weft.dirty ? ', with uncommitted changes' : ''}) beside kernel VXLAN and other overlays`,
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGib} GiB, ${machine.hypervisor}; ${machine.distribution}, Linux ${machine.kernel}, Node ${machine.node}`,
    ...describeCosts(machine),
    `${result.startedAt} to ${result.finishedAt}; ${settings.rounds} rounds of ${settings.seconds} s (TCP: ${settings.warmupSeconds} s of warm-up before); TCP congestion control ${settings.congestion} unless a work names another${machine.governor ? `; governor ${machine.governor}` : ''}`,
  ];
  const state = result.complete
    ? ''
    : '<p><strong>This run was stopped before its end.</strong></p>';
  const warning = busyWarning(result);
  const busy =
    warning === undefined ? '' : `<p class="warning"><strong>${escapeHtml(warning)}</strong></p>`;
  return `<h1>Overlay benchmark</h1>${lines.map((line) => `<p class="soft">${escapeHtml(line)}</p>`).join('')}${state}${busy}`;
}

/** The whole page. Everything from the result is escaped. */
export function renderHtml(result: BenchResult): string {
  const plots = makePlots(result);
  const failures = failureTable(result);
  const parts = [
    headHtml(result),
    contentsHtml([
      'Ratios to kernel VXLAN',
      'Plots',
      'What was compared',
      'Medians',
      'Method',
      'Raw runs',
    ]),
    section('Ratios to kernel VXLAN'),
    '<p>Median over the rounds, least and greatest in brackets. Rates: above 1 is faster than the kernel. Times: below 1 is. Without an overlay (host-gw routes) is the limit.</p>',
    `<p>${CAVEATS.join(' ')}</p>`,
    tableHtml(ratioTable(result)),
    section('Plots'),
    '<p>Kernel VXLAN does all its work, on both nodes, on the core that sends. weft spreads it over threads. So read rates and CPU cost together.</p>',
    ...plots.map(plotHtml),
    section('What was compared'),
    tableHtml(planeTable(result)),
    section('Medians'),
    tableHtml(medianTable(result)),
    failures.rows.length > 0 ? `<h2>Failed runs</h2>${tableHtml(failures)}` : '',
    `${section('Method')}${METHOD}`,
    `${section('Raw runs')}<details><summary>all ${result.runs.length} runs</summary>${tableHtml(rawTable(result))}</details>`,
  ];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>weft: overlay benchmark</title><style>${STYLE}</style></head><body>
${parts.join('\n')}
</body></html>
`;
}
