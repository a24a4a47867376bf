/**
 * Checks the C of native/: the format (native/.clang-format), what the compiler warns of, the linter (native/.clang-tidy),
 * and whether the byte code of the fast path is what its source compiles to.
 *   node scripts/check-native.mjs           says what is wrong and exits 1
 *   node scripts/check-native.mjs --write   formats in place first
 * Installs nothing: a tool that is missing is named with its Debian package.
 */
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { LANGUAGE, NODE_HEADERS } from '../native/build.mjs';
import { checkPrograms } from './fast-path.mjs';

const run = promisify(execFile);
const root = path.join(import.meta.dirname, '..');

/** Each tool with its Debian package. */
const TOOLS = { 'clang-format': 'clang-format', clang: 'clang', 'clang-tidy': 'clang-tidy' };
const FLAGS = [...LANGUAGE, ...NODE_HEADERS];
const WARNINGS = [
  '-fsyntax-only',
  '-Wall',
  '-Wextra',
  '-Wshadow',
  '-Wstrict-prototypes',
  '-Werror',
];

const sources = readdirSync(path.join(root, 'native'), { recursive: true })
  .filter((name) => /\.[ch]$/.test(name) && !name.startsWith('build'))
  .map((name) => path.join('native', name))
  .sort();
/** The kernel's programs are for another machine: they have a check of their own. */
const units = sources.filter((name) => name.endsWith('.c') && !name.endsWith('.bpf.c'));

/** What the tool said when it failed, else nothing. */
async function complaint(tool, args) {
  try {
    await run(tool, args, { cwd: root, maxBuffer: 1 << 24 });
    return '';
  } catch (error) {
    if (error.code === 'ENOENT') throw error;
    return `${error.stdout}${error.stderr}`;
  }
}

async function missingTools() {
  const found = await Promise.all(
    Object.keys(TOOLS).map((tool) =>
      complaint(tool, ['--version']).then(
        () => '',
        () => tool,
      ),
    ),
  );
  return found.filter((tool) => tool !== '');
}

/** Runs `work` for each file, as many at a time as there are processors. */
async function eachFile(files, work) {
  const waiting = [...files];
  const lane = async () => {
    for (let file = waiting.shift(); file; file = waiting.shift()) await work(file);
  };
  await Promise.all(Array.from({ length: availableParallelism() }, lane));
}

async function check() {
  const write = process.argv.includes('--write');
  const complaints = [
    await complaint(
      'clang-format',
      write ? ['-i', ...sources] : ['--dry-run', '--Werror', ...sources],
    ),
  ];
  await eachFile(units, async (file) => {
    const warned = await complaint('clang', [...FLAGS, ...WARNINGS, file]);
    complaints.push(warned || (await complaint('clang-tidy', ['--quiet', file, '--', ...FLAGS])));
  });
  complaints.push(await checkPrograms().catch((error) => error.stderr || error.message));
  return complaints.filter((text) => text !== '');
}

const missing = await missingTools();
if (missing.length > 0) {
  const packages = missing.map((tool) => TOOLS[tool]).join(' ');
  process.stderr.write(
    `check-native: missing ${missing.join(', ')}: install ${packages} (Debian names), for example: sudo apt-get install ${packages}\n`,
  );
  process.exit(1);
}
const complaints = await check();
for (const text of complaints) process.stderr.write(text);
process.stderr.write(
  complaints.length > 0
    ? 'check-native: the C of native/ needs work\n'
    : `check-native: ${sources.length} files in order\n`,
);
process.exit(complaints.length > 0 ? 1 : 0);
