/** Saved results: one file for each version of the program and class of machine. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { EXIT, messageOf, WeftError } from '../../src/shared/errors.ts';
import { projectRoot } from '../../src/shared/root.ts';
import type { MicroMachine, MicroResult } from './result.ts';

export function resultsFolder(): string {
  return path.join(projectRoot(), 'bench/results');
}

/** Machines with the same model and number of processors are one class. */
export function fileNameOf(version: string, { cpu, cores }: MicroMachine): string {
  if (!/^[0-9A-Za-z][0-9A-Za-z.+-]*$/.test(version)) {
    throw new WeftError(
      'ERR_BENCH_VERSION',
      EXIT.failure,
      `package.json: version ${JSON.stringify(version)} can't be part of a file name`,
    );
  }
  const model = cpu.toLowerCase().replace(/[^0-9a-z]+/g, '-');
  return `micro-${version}-${model.replace(/^-|-$/g, '')}-${cores}.json`;
}

/** Writes the file of the result's version and machine, over an earlier one. Returns its path. */
export function saveResult(folder: string, result: MicroResult): string {
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, fileNameOf(result.weft.version, result.machine));
  writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
  return file;
}

/** All saved results, newest first. */
export function loadResults(folder: string): MicroResult[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => /^micro-.+\.json$/.test(name))
    .map((name) => readResult(path.join(folder, name)))
    .sort((a, b) => Date.parse(b.startedAt) - Date.parse(a.startedAt));
}

function readResult(file: string): MicroResult {
  try {
    const result = JSON.parse(readFileSync(file, 'utf8')) as MicroResult;
    if (result.kind === 'micro' && result.schemaVersion === 1) return result;
  } catch (error) {
    throw unreadable(file, messageOf(error));
  }
  throw unreadable(file, 'not a result of this bench, or of another schema version');
}

function unreadable(file: string, why: string): WeftError {
  return new WeftError(
    'ERR_BENCH_RESULT_FILE',
    EXIT.failure,
    `${file}: ${why}; move it away or save a new one with --save`,
  );
}
