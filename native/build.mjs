/**
 * Compiles native/*.c into native/build/weft.node with the system's C compiler. No packages, no shell.
 *   node native/build.mjs              the addon, skipped when it is up to date
 *   node native/build.mjs --sanitize   native/build/weft-asan.node, for the tests (LD_PRELOAD libasan), with the test seal
 *   node native/build.mjs --cni        the CNI plugin and what an image needs beside it, into native/build/cni: static, with jansson
 *   node native/build.mjs --cni --sanitize   the plugin as native/build/cni/flannel-asan, for the tests
 *   node native/build.mjs --keeper     the keeper of descriptors, native/build/keeper/weft-keeper: static
 *   node native/build.mjs --keeper --sanitize   the same as native/build/keeper/weft-keeper-asan, for the tests
 *   node native/build.mjs --fuzz       the libFuzzer targets of native/fuzz into native/build/fuzz; clang only
 */
import { execFile } from 'node:child_process';
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const here = import.meta.dirname;
const headers = path.join(here, '../node_modules/node-api-headers/include');
const compiler = process.env.CC || 'cc';

export const LANGUAGE = ['-std=c17', '-D_GNU_SOURCE'];
export const NODE_HEADERS = ['-DNAPI_VERSION=8', '-I', headers];
const ADDON = ['-fPIC', '-shared', '-pthread', '-fvisibility=hidden', ...NODE_HEADERS];
const STRICT = ['-Wall', '-Wextra', '-Werror', '-fstack-protector-strong', '-Wl,-z,relro,-z,now'];
const RELEASE = ['-O2', '-U_FORTIFY_SOURCE', '-D_FORTIFY_SOURCE=2'];
const DEBUG = ['-O1', '-g', '-fno-omit-frame-pointer', '-fno-sanitize-recover=all'];
const SANITIZE = [...DEBUG, '-fsanitize=address,undefined', '-DWEFT_TEST_SEAL'];
const FUZZ = [...DEBUG, '-fsanitize=fuzzer,address,undefined'];

/** Nothing of the host is needed where it runs: it is copied to hosts of any distribution. */
const STATIC = ['-static-pie', '-fPIE', '-s', ...RELEASE];

/** The files that need Node; the rest is the engine. */
const FACE = ['addon.c', 'fast.c', 'files.c', 'ports.c', 'values.c', 'watch.c'];
/**
 * The targets and which functions each sees the calls of, in the place of the kernel. `planted` is the packet target with a bug that
 * a fuzzer has to find. `isPlugin`: of the CNI plugin, not of the engine. `beside`: the files it needs of another program.
 */
const FUZZ_TARGETS = {
  packet: { source: 'packet.c' },
  planted: { source: 'packet.c', flags: ['-DPLANTED_BUG'] },
  segment: { source: 'segment.c', seen: ['udp_flush'] },
  seal: { source: 'seal.c', seen: ['udp_flush'] },
  coalesce: { source: 'coalesce.c', seen: ['udp_flush', 'writev'] },
  cni: { source: 'cni.c', isPlugin: true },
  keeper: { source: 'keeper.c', beside: ['keeper/notification.c'] },
};

function filesIn(folder, ...endings) {
  return readdirSync(path.join(here, folder))
    .filter((name) => endings.includes(path.extname(name)))
    .map((name) => path.join(here, folder, name))
    .sort();
}

/** Whether the output is newer than all sources in these folders. */
function isUpToDate(output, ...folders) {
  if (!existsSync(output)) return false;
  const built = statSync(output).mtimeMs;
  return folders
    .flatMap((folder) => filesIn(folder, '.c', '.h', '.mjs'))
    .every((file) => statSync(file).mtimeMs < built);
}

/** A running process may have the old file mapped: the new one takes its name only when it is whole. */
async function compile(command, flags, sources, file) {
  mkdirSync(path.dirname(file), { recursive: true });
  const draft = `${file}.${process.pid}`;
  try {
    await run(command, [...LANGUAGE, ...flags, '-o', draft, ...sources]);
    renameSync(draft, file);
  } finally {
    rmSync(draft, { force: true });
  }
}

/** `hint` says where a compiler comes from. */
function explain(error, what, command, hint) {
  const text =
    error.code === 'ENOENT'
      ? `the C compiler "${command}" was not found; ${hint}`
      : `${command} failed (${hint})\n${error.stderr || error.message}`;
  return new Error(`cannot build ${what}: ${text}`);
}

/** Returns { file, built }: built is false when the file was up to date. */
export async function buildAddon({ sanitize = false } = {}) {
  const file = path.join(here, 'build', sanitize ? 'weft-asan.node' : 'weft.node');
  const folders = sanitize ? ['.', 'test'] : ['.'];
  if (isUpToDate(file, ...folders, 'fast-path')) return { file, built: false };
  if (!existsSync(headers)) {
    throw new Error(`cannot build the native addon: ${headers} is missing; run "npm ci" first`);
  }
  const flags = [...ADDON, ...(sanitize ? SANITIZE : RELEASE), ...STRICT];
  try {
    await compile(
      compiler,
      flags,
      folders.flatMap((folder) => filesIn(folder, '.c')),
      file,
    );
  } catch (error) {
    const hint = 'install one (Debian: apt-get install gcc libc6-dev) or set CC';
    throw explain(error, 'the native addon', compiler, hint);
  }
  return { file, built: true };
}

/** The files of the plugin besides its `main`; install-conf has one of its own. */
const MAINS = ['main.c', 'install-conf.c'];

function pluginSources(...mains) {
  const shared = filesIn('cni', '.c').filter((file) => !MAINS.includes(path.basename(file)));
  return [...shared, ...mains.map((name) => path.join(here, 'cni', name))];
}

/** Of a program that is no part of Node. */
function programFlags(sanitize) {
  return [...(sanitize ? [...DEBUG, '-fsanitize=address,undefined'] : STATIC), ...STRICT];
}

/** As buildAddon, for the plugin and what goes with it. */
export async function buildPlugin({ sanitize = false } = {}) {
  const file = path.join(here, 'build/cni', sanitize ? 'flannel-asan' : 'flannel');
  if (isUpToDate(file, '.', 'cni')) return { file, built: false };
  const flags = programFlags(sanitize);
  try {
    if (!sanitize) await compile(compiler, flags, COPIER, besides(file, 'install-conf'));
    await compile(compiler, flags, [...pluginSources('main.c'), '-ljansson'], file);
  } catch (error) {
    const hint = 'install gcc, libc6-dev and libjansson-dev (Debian names), or set CC';
    throw explain(error, 'the CNI plugin', compiler, hint);
  }
  if (!sanitize) giveSecondName(file);
  return { file, built: true };
}

const COPIER = ['install-conf.c', 'file.c'].map((name) => path.join(here, 'cni', name));

const besides = (file, name) => path.join(path.dirname(file), name);

/** The plugin's type is the name of its file: weft as well as flannel. */
function giveSecondName(file) {
  rmSync(besides(file, 'weft'), { force: true });
  linkSync(file, besides(file, 'weft'));
}

/** As buildAddon, for the keeper. */
export async function buildKeeper({ sanitize = false } = {}) {
  const file = path.join(here, 'build/keeper', sanitize ? 'weft-keeper-asan' : 'weft-keeper');
  if (isUpToDate(file, '.', 'keeper')) return { file, built: false };
  try {
    await compile(compiler, programFlags(sanitize), filesIn('keeper', '.c'), file);
  } catch (error) {
    const hint = 'install gcc and libc6-dev (Debian names), or set CC';
    throw explain(error, 'the keeper', compiler, hint);
  }
  return { file, built: true };
}

function engineSources() {
  const engine = filesIn('.', '.c').filter((file) => !FACE.includes(path.basename(file)));
  return [...engine, ...filesIn('test', '.c'), path.join(here, 'fuzz/rows.c')];
}

/** As buildAddon, for each target. */
export async function buildFuzzers() {
  const results = [];
  for (const [target, about] of Object.entries(FUZZ_TARGETS)) {
    const { source, seen = [], flags = [], isPlugin, beside = [] } = about;
    const file = path.join(here, 'build/fuzz', target);
    const built = !isUpToDate(file, '.', 'test', 'fuzz', 'cni', 'keeper');
    const wraps = seen.map((name) => `-Wl,--wrap=${name}`);
    const engine = seen.length > 0 ? engineSources() : [];
    const rest = isPlugin ? [...pluginSources(), '-ljansson'] : engine;
    const own = [`fuzz/${source}`, ...beside].map((name) => path.join(here, name));
    const sources = [...own, ...rest];
    try {
      if (built) await compile('clang', [...FUZZ, ...STRICT, ...wraps, ...flags], sources, file);
    } catch (error) {
      const hint =
        'install it with its runtime (Debian: apt-get install clang libclang-rt-dev libjansson-dev)';
      throw explain(error, 'the fuzz targets', 'clang', hint);
    }
    results.push({ file, built });
  }
  return results;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    const sanitize = process.argv.includes('--sanitize');
    const programs = { '--cni': buildPlugin, '--keeper': buildKeeper };
    const chosen = Object.keys(programs).find((flag) => process.argv.includes(flag));
    const build = chosen === undefined ? buildAddon : programs[chosen];
    const results = process.argv.includes('--fuzz')
      ? await buildFuzzers()
      : [await build({ sanitize })];
    for (const { file, built } of results) {
      console.log(`${path.relative(process.cwd(), file)}: ${built ? 'built' : 'up to date'}`);
    }
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
