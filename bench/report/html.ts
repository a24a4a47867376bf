/** The report: one HTML file that needs nothing else. */
import type { BenchResult } from '../net/result.ts';
import { METHOD } from './method.ts';
import { makePlots, type Plot } from './plots.ts';
import {
  failureTable,
  medianTable,
  planeTable,
  ratioTable,
  rawTable,
  type Table,
} from './tables.ts';

const STYLE = `
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5a6472; --line: #d8dde4; --ground: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #a3adba; --line: #39424e; --ground: #14181e; } }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--ground); margin: 0 auto; max-width: 62rem; padding: 1rem; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.25rem; margin-top: 2.2rem; } .soft { color: var(--soft); }
figure { background: #fff; border: 1px solid var(--line); border-radius: 8px; margin: 1rem 0; padding: .3rem; }
figure svg { width: 100%; height: auto; display: block; }
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

function headHtml(result: BenchResult): string {
  const { machine, settings, weft } = result;
  const lines = [
    `weft ${weft.version} (${weft.commit}${weft.dirty ? ', with uncommitted changes' : ''}) beside kernel VXLAN and other overlays`,
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGib} GiB, ${machine.hypervisor}; ${machine.distribution}, Linux ${machine.kernel}, Node ${machine.node}`,
    `${result.startedAt} to ${result.finishedAt}; ${settings.rounds} rounds of ${settings.seconds} s (TCP: ${settings.warmupSeconds} s of warm-up before); TCP congestion control ${settings.congestion}`,
  ];
  const state = result.complete
    ? ''
    : '<p><strong>This run was stopped before its end.</strong></p>';
  return `<h1>Overlay benchmark</h1>${lines.map((line) => `<p class="soft">${escapeHtml(line)}</p>`).join('')}${state}`;
}

/** The whole page. Everything from the result is escaped. */
export function renderHtml(result: BenchResult): string {
  const plots = makePlots(result);
  const failures = failureTable(result);
  const parts = [
    headHtml(result),
    '<h2>Ratios to kernel VXLAN</h2>',
    '<p>Median over the rounds, least and greatest in brackets. Rates: above 1 is faster than the kernel. Round trips: below 1 is.</p>',
    tableHtml(ratioTable(result)),
    '<h2>Plots</h2>',
    '<p>Kernel VXLAN does all its work, on both nodes, on the core that sends. weft spreads it over threads. So read rates and CPU cost together.</p>',
    ...plots.map(plotHtml),
    '<h2>What was compared</h2>',
    tableHtml(planeTable(result)),
    '<h2>Medians</h2>',
    tableHtml(medianTable(result)),
    failures.rows.length > 0 ? `<h2>Failed runs</h2>${tableHtml(failures)}` : '',
    `<h2>Method</h2>${METHOD}`,
    `<h2>Raw runs</h2><details><summary>all ${result.runs.length} runs</summary>${tableHtml(rawTable(result))}</details>`,
  ];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>weft: overlay benchmark</title><style>${STYLE}</style></head><body>
${parts.join('\n')}
</body></html>
`;
}
