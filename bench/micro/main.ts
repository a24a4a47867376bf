/** npm run bench: measures the parts of the data plane one by one and compares them with the saved result. */
import { EXIT, messageOf, WeftError } from '../../src/shared/errors.ts';
import type { Case } from './case.ts';
import { compareEntries, describeBaseline, pickBaseline } from './compare.ts';
import { describeMachine, describeProgram } from './machine.ts';
import { measure } from './measure.ts';
import { BENCH_HELP, type BenchOptions, parseBenchOptions, settingsOf } from './options.ts';
import type { MicroResult } from './result.ts';
import { loadResults, resultsFolder, saveResult } from './saved.ts';
import { allCases } from './subjects/all.ts';
import { renderTable } from './table.ts';

async function main(): Promise<void> {
  const options = parseBenchOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(BENCH_HELP);
    return;
  }
  const saved = loadResults(resultsFolder());
  const machine = describeMachine();
  if (options.compare && !pickBaseline(saved, machine)) throw nothingToCompare(machine.cpu);
  const result: MicroResult = {
    schemaVersion: 1,
    kind: 'micro',
    startedAt: new Date().toISOString(),
    weft: await describeProgram(),
    machine,
    settings: settingsOf(options),
    entries: [],
  };
  measureAll(selectCases(options.filter), result);
  report(options, result, saved);
}

function selectCases(filter: string): Case[] {
  const cases = allCases();
  const selected = cases.filter(({ name }) => name.includes(filter));
  if (selected.length > 0) return selected;
  const subjects = [...new Set(cases.map(({ name }) => name.split('/')[0]))];
  throw new WeftError(
    'ERR_USAGE',
    EXIT.usage,
    `no benchmark's name has ${JSON.stringify(filter)} in it; there are: ${subjects.join(', ')}`,
  );
}

function measureAll(cases: readonly Case[], result: MicroResult): void {
  cases.forEach((item, i) => {
    process.stderr.write(`${i + 1}/${cases.length} ${item.name}\n`);
    result.entries.push(measure(item, result.settings));
  });
}

function report(options: BenchOptions, result: MicroResult, saved: readonly MicroResult[]): void {
  const baseline = pickBaseline(saved, result.machine);
  const comparisons = baseline ? compareEntries(result.entries, baseline.entries) : [];
  const note = describeBaseline(saved, result);
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ ...result, comparisons, note })}\n`);
  } else {
    process.stdout.write(`${renderTable(result.entries, comparisons)}\n`);
    if (note) process.stdout.write(`\n${note}\n`);
  }
  if (!options.save) return;
  process.stderr.write(`saved: ${saveResult(resultsFolder(), result)}\n`);
}

function nothingToCompare(cpu: string): WeftError {
  return new WeftError(
    'ERR_BENCH_NO_BASELINE',
    EXIT.failure,
    `--compare: bench/results has no result of this CPU model (${cpu}); make one with --save`,
  );
}

await main().catch((error: unknown) => {
  process.stderr.write(`bench: ${messageOf(error)}\n`);
  process.exitCode = error instanceof WeftError ? error.exitCode : EXIT.internal;
});
