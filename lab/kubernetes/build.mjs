/**
 * Real components of Kubernetes for the tests, built once for each user and recipe.
 *   node lab/kubernetes/build.mjs [component ...]
 * Prints the folder with the programs; default are all. Says what it does on stderr, and nothing when all is there.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { build, COMPONENTS, VERSION } from './recipe.mjs';

/** Of sources, compiler and build cache together, with some room. */
const WORK_BYTES = 2.5e9;
/** Set for the process that has the lock. */
const LOCKED = 'WEFT_KUBERNETES_LOCKED';

const wanted = process.argv.slice(2);
const components = wanted.length > 0 ? wanted : COMPONENTS;
const cache = process.env.XDG_CACHE_HOME || path.join(homedir(), '.cache');
const recipe = readFileSync(path.join(import.meta.dirname, 'recipe.mjs'));
const hash = createHash('sha256').update(recipe).digest('hex').slice(0, 12);
const folder = path.join(cache, 'weft/kubernetes', `${VERSION}-${hash}`);

function say(text) {
  process.stderr.write(`kubernetes: ${text}\n`);
}

function missing() {
  return components.filter((name) => !existsSync(path.join(folder, name)));
}

/** The same command under the kernel's lock, which ends with the process whatever happens to it. */
function takeLock() {
  const lock = `${folder}.lock`;
  const again = [process.execPath, ...process.argv.slice(1)];
  const env = { ...process.env, [LOCKED]: '1' };
  const run = (flags, command) =>
    spawnSync('flock', [...flags, lock, ...command], {
      env,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  if (run(['--nonblock'], ['true']).status !== 0) say('waiting for another build');
  const { status, error } = run([], again);
  if (error) throw new Error('missing command: flock (Debian package util-linux)');
  if (status !== 0) process.exit(status ?? 1);
}

function buildMissing() {
  const { bavail, bsize } = statfsSync(folder);
  if (bavail * bsize < WORK_BYTES)
    throw new Error(
      `the build needs 2.5 GB in ${folder}: free some, or set XDG_CACHE_HOME to a folder with more room`,
    );
  const work = path.join(folder, 'work');
  build(missing(), work, folder, say);
  rmSync(work, { recursive: true });
  say(`built into ${folder}`);
}

try {
  const unknown = components.filter((name) => !COMPONENTS.includes(name));
  if (unknown.length > 0)
    throw new Error(`no component: ${unknown.join(', ')}; there are ${COMPONENTS.join(', ')}`);
  if (missing().length > 0) {
    mkdirSync(folder, { recursive: true });
    if (process.env[LOCKED]) buildMissing();
    else takeLock();
  }
  process.stdout.write(`${folder}\n`);
} catch (error) {
  say(error.message);
  process.exit(71);
}
