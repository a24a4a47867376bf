/** npm run bench:report -- RESULT.json: makes the HTML report, the plots, and the README's figures from a result of bench:net. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { readArguments } from '../../lab/arguments.ts';
import { EXIT, messageOf, WeftError } from '../../src/shared/errors.ts';
import { projectRoot } from '../../src/shared/root.ts';
import { renderComparison } from '../net/compare.ts';
import { toCsv } from '../net/csv.ts';
import type { BenchResult } from '../net/result.ts';
import { renderHtml } from './html.ts';
import { makePlots } from './plots.ts';
import { toPng } from './png.ts';
import { README_PLOTS, replaceBlock } from './readme.ts';
import { readResult } from './schema.ts';

const HELP = `npm run bench:report -- RESULT.json [options]

  --html FILE   the report; default RESULT.html beside the result
  --plots DIR   every plot as SVG and PNG
  --csv FILE    every value of every run
  --compare OLD.json  what is better or worse than in that result by more than chance, on standard output
  --readme      replace the figures in README.md and the plots in docs/performance/plots/
  --help        this text
`;
const OPTIONS = {
  html: { type: 'string' },
  plots: { type: 'string' },
  csv: { type: 'string' },
  compare: { type: 'string' },
  readme: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;
const README_FOLDER = 'docs/performance/plots';

/** Writes every plot of a result as SVG and PNG. Returns the names without ending. */
export function writePlots(result: BenchResult, folder: string): string[] {
  mkdirSync(folder, { recursive: true });
  return makePlots(result).map(({ name, svg }) => {
    writeFileSync(path.join(folder, `${name}.svg`), svg);
    writeFileSync(path.join(folder, `${name}.png`), toPng(svg));
    return name;
  });
}

/** The README's figures and its plots. */
export function updateReadme(result: BenchResult): void {
  const names = writePlots(result, path.join(projectRoot(), README_FOLDER));
  // The underlays of other MTU and family are in the table and in the report.
  const links = ['veth', 'wire'];
  const wanted = links.flatMap((link) => README_PLOTS.map((plot) => `${plot}-${link}`));
  const shown = names.filter((name) => wanted.includes(name));
  const file = path.join(projectRoot(), 'README.md');
  const svgs = shown.map((name) => `${name}.svg`);
  writeFileSync(file, replaceBlock(readFileSync(file, 'utf8'), result, README_FOLDER, svgs));
}

function main(): number {
  const args = process.argv.slice(2);
  const { values, positionals } = readArguments(args, { allowPositionals: true, options: OPTIONS });
  const [file] = positionals;
  if (values.help || file === undefined || positionals.length > 1) {
    process[values.help ? 'stdout' : 'stderr'].write(HELP);
    return values.help ? 0 : EXIT.usage;
  }
  const result = readResult(file);
  const html = values.html ?? file.replace(/(\.json)?$/, '.html');
  writeFileSync(html, renderHtml(result));
  if (values.plots !== undefined) writePlots(result, values.plots);
  if (values.csv !== undefined) writeFileSync(values.csv, toCsv(result));
  if (values.compare !== undefined)
    process.stdout.write(renderComparison(readResult(values.compare), result));
  if (values.readme) updateReadme(result);
  process.stdout.write(`${html}\n`);
  return 0;
}

if (process.argv[1] === import.meta.filename) {
  try {
    process.exitCode = main();
  } catch (error) {
    process.stderr.write(`bench:report: ${messageOf(error)}\n`);
    process.exitCode = error instanceof WeftError ? error.exitCode : EXIT.failure;
  }
}
