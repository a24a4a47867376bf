/**
 * Compiles native/*.c into native/build/weft.node with the system's C compiler. No packages, no shell.
 *   node native/build.mjs              the addon, skipped when it is up to date
 *   node native/build.mjs --sanitize   native/build/weft-asan.node, for the tests (LD_PRELOAD libasan)
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const here = import.meta.dirname;
const headers = path.join(here, '../node_modules/node-api-headers/include');
const compiler = process.env.CC || 'cc';

const COMMON = [
  '-std=c17',
  '-fPIC',
  '-shared',
  '-fvisibility=hidden',
  '-D_GNU_SOURCE',
  '-DNAPI_VERSION=8',
];
const STRICT = ['-Wall', '-Wextra', '-Werror', '-fstack-protector-strong', '-Wl,-z,relro,-z,now'];
const RELEASE = ['-O2', '-U_FORTIFY_SOURCE', '-D_FORTIFY_SOURCE=2'];
const SANITIZE = [
  '-O1',
  '-g',
  '-fno-omit-frame-pointer',
  '-fsanitize=address,undefined',
  '-fno-sanitize-recover=all',
];

function filesWith(...endings) {
  return readdirSync(here)
    .filter((name) => endings.includes(path.extname(name)))
    .map((name) => path.join(here, name))
    .sort();
}

function isUpToDate(output) {
  if (!existsSync(output)) return false;
  const built = statSync(output).mtimeMs;
  return filesWith('.c', '.h', '.mjs').every((file) => statSync(file).mtimeMs < built);
}

function explain(error) {
  if (error.code === 'ENOENT') {
    return new Error(
      `cannot build the native addon: the C compiler "${compiler}" was not found; ` +
        'install one (Debian: apt-get install gcc libc6-dev) or set CC',
    );
  }
  return new Error(
    `cannot build the native addon: ${compiler} failed\n${error.stderr || error.message}`,
  );
}

/** Returns { file, built }: built is false when the file was up to date. */
export async function buildAddon({ sanitize = false } = {}) {
  const file = path.join(here, 'build', sanitize ? 'weft-asan.node' : 'weft.node');
  if (isUpToDate(file)) return { file, built: false };
  if (!existsSync(headers)) {
    throw new Error(`cannot build the native addon: ${headers} is missing; run "npm ci" first`);
  }
  mkdirSync(path.dirname(file), { recursive: true });
  // A running process may have the old file mapped: the new one takes its name only when it is whole.
  const draft = `${file}.${process.pid}`;
  const flags = [...COMMON, ...(sanitize ? SANITIZE : RELEASE), ...STRICT, '-I', headers];
  try {
    await run(compiler, [...flags, '-o', draft, ...filesWith('.c')]);
    renameSync(draft, file);
  } catch (error) {
    throw explain(error);
  } finally {
    rmSync(draft, { force: true });
  }
  return { file, built: true };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    const { file, built } = await buildAddon({ sanitize: process.argv.includes('--sanitize') });
    console.log(`${path.relative(process.cwd(), file)}: ${built ? 'built' : 'up to date'}`);
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
