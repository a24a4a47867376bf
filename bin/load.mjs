/** What bin/weft and bin/weftd have in common: they load the compiled program, or say why that can't be done. */
import { existsSync, fstatSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const EXIT_OS = 71;
const SETUP = 'run: npm run setup';
/** Faults of the machine or of the installation, not of the program; by the code of the error. */
const ADVICE = {
  EMFILE: 'this process may not open more files; raise "ulimit -n", or LimitNOFILE= of the unit',
  ENFILE: 'this machine may not open more files; raise the sysctl fs.file-max',
  ENOMEM: 'not enough memory',
  EACCES: 'the files of the program are not readable for this user',
  ERR_MODULE_NOT_FOUND: `a package is missing; ${SETUP}`,
  MODULE_NOT_FOUND: `a package is missing; ${SETUP}`,
};

/** The module with the program's `main`. Ends the process where it can't be had. */
export async function load(name) {
  const program = new URL(`../dist/program/${name}.js`, import.meta.url);
  if (!existsSync(fileURLToPath(program))) fail(name, `not built yet; ${SETUP}`);
  try {
    return await import(program.href);
  } catch (error) {
    const advice = ADVICE[isThere(error) ? 'EMFILE' : error?.code];
    if (advice === undefined) throw error;
    return fail(name, `the program can't be loaded: ${advice} (${error.message})`);
  }
}

/** Whether a package that was not found is there: Node says so, too, when it can't open the package's files. */
function isThere({ code, message }) {
  const [, folder = ''] = /'(\/.*\/node_modules\/(?:@[^/']+\/)?[^/']+)/.exec(message) ?? [];
  return /MODULE_NOT_FOUND$/.test(code) && existsSync(folder);
}

/** Resolves when a stream has handed on everything, or never will. */
export function written(stream) {
  return new Promise((resolve) => {
    stream.write('', resolve);
  });
}

function fail(name, why) {
  const line = `${name}: ${why.split('\n', 1)[0]}\n`;
  writeSync(2, isJournal() ? `<3>${line}` : line);
  process.exit(EXIT_OS);
}

/** As src/shared/stderr.ts, which may not be loadable. */
function isJournal() {
  const { dev, ino } = fstatSync(2);
  return process.env['JOURNAL_STREAM'] === `${dev}:${ino}`;
}
