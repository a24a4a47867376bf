/**
 * One idempotent set-up behind every command: packages, Debian packages, native build (plain, and with sanitizers), dist/; where it is
 * asked for, a real API server of Kubernetes, kubectl and helm.
 *   node scripts/setup.mjs [--quiet] [--only=packages,debian,linters,native,sanitized,dist,kubernetes] [--with=kubernetes]
 * Says what it does while it does it, and nothing when all is there.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync, utimesSync } from 'node:fs';
import path from 'node:path';

const root = path.join(import.meta.dirname, '..');
const quiet = process.argv.includes('--quiet');
const only = wordsOf('--only=');
/** Steps that are not among the usual ones. */
const more = wordsOf('--with=') ?? [];

/** The C library that the CNI plugin needs: a header, not a command. */
const JANSSON = '/usr/include/jansson.h';

/** Commands (or files) that the build, the demo and the tests need, with the Debian package of each. */
const COMMANDS = {
  cc: ['gcc', 'libc6-dev'],
  [JANSSON]: ['libjansson-dev'],
  clang: ['clang', 'libclang-rt-dev'],
  'clang-format': ['clang-format'],
  'clang-tidy': ['clang-tidy'],
  ip: ['iproute2'],
  ping: ['iputils-ping'],
  iperf3: ['iperf3'],
  ethtool: ['ethtool'],
  nft: ['nftables'],
  iptables: ['iptables'],
  etcd: ['etcd-server'],
  etcdctl: ['etcd-client'],
  openssl: ['openssl'],
  debootstrap: ['debootstrap'],
  'systemd-nspawn': ['systemd-container'],
  buildah: ['buildah'],
  mandoc: ['mandoc'],
  tmux: ['tmux'],
  zsh: ['zsh'],
  fish: ['fish'],
  tcpdump: ['tcpdump'],
  chromium: ['chromium'],
  promtool: ['prometheus'],
  '/usr/lib/cni/bridge': ['containernetworking-plugins'],
  unzip: ['unzip'],
};

function wordsOf(flag) {
  return process.argv
    .find((word) => word.startsWith(flag))
    ?.slice(flag.length)
    .split(',');
}

function say(text) {
  if (!quiet) process.stderr.write(`setup: ${text}\n`);
}

function run(command, args) {
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  // What is compiled while packages are installed (raw-socket, optional) takes the running Node's own headers: no download.
  const prefix = path.join(process.execPath, '../..');
  if (existsSync(path.join(prefix, 'include/node/node.h'))) environment.npm_config_nodedir = prefix;
  execFileSync(command, args, {
    cwd: root,
    env: environment,
    stdio: ['ignore', quiet ? 'ignore' : 2, 2],
  });
}

/** `name` is a command, or the whole path of a file. */
function isThere(name) {
  if (path.isAbsolute(name)) return existsSync(name);
  const folders = `${process.env.PATH}:/usr/sbin:/sbin`.split(':');
  return folders.some((folder) => existsSync(path.join(folder, name)));
}

function modified(file) {
  return existsSync(file) ? statSync(file).mtimeMs : 0;
}

function packages() {
  const stamp = path.join(root, 'node_modules/.package-lock.json');
  if (modified(stamp) >= modified(path.join(root, 'package-lock.json'))) return;
  say('installing packages');
  // Not "npm ci": it refuses a lockfile without the optional binaries of other platforms, which npm leaves out of it.
  run('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error']);
  utimesSync(stamp, new Date(), new Date());
}

function debian() {
  install(Object.keys(COMMANDS));
}

/** What `npm run check` needs besides packages. */
function linters() {
  install(['clang', 'clang-format', 'clang-tidy', JANSSON]);
}

function install(commands) {
  const missing = commands.filter((name) => !isThere(name));
  if (missing.length === 0) return;
  const wanted = missing.flatMap((name) => COMMANDS[name]);
  if (process.getuid() !== 0 || !isThere('apt-get')) {
    const how = `install ${wanted.join(' ')} (Debian names), for example: sudo apt-get install ${wanted.join(' ')}`;
    if (missing.includes('cc')) throw new Error(`the native part needs a C compiler: ${how}`);
    process.stderr.write(`setup: missing ${missing.join(', ')}: ${how}\n`);
    return;
  }
  say(`installing Debian packages: ${wanted.join(' ')}`);
  run('apt-get', ['update', '-qq']);
  run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...wanted]);
}

function native() {
  compile('the native addon');
  compile('the keeper', '--keeper');
  install([JANSSON]);
  if (isThere(JANSSON)) compile('the CNI plugin', '--cni');
}

function sanitized() {
  compile('the native addon with sanitizers', '--sanitize');
  compile('the keeper with sanitizers', '--keeper', '--sanitize');
  if (isThere(JANSSON)) compile('the CNI plugin with sanitizers', '--cni', '--sanitize');
}

function compile(what, ...flags) {
  const words = ['native/build.mjs', ...flags];
  const stdio = ['ignore', 'pipe', 'inherit'];
  const said = execFileSync(process.execPath, words, { cwd: root, stdio }).toString();
  if (!said.includes('up to date')) say(`compiled ${what}`);
}

function newest(folder) {
  if (!existsSync(folder)) return 0;
  return Math.max(
    0,
    ...readdirSync(folder, { withFileTypes: true }).map((entry) => {
      const file = path.join(folder, entry.name);
      return entry.isDirectory() ? newest(file) : statSync(file).mtimeMs;
    }),
  );
}

function dist() {
  const sources = Math.max(
    ...['src', 'lab', 'test', 'bench'].map((name) => newest(path.join(root, name))),
    modified(path.join(root, 'tsconfig.json')),
    // What is joined in is of packages, too.
    modified(path.join(root, 'node_modules/.package-lock.json')),
    modified(path.join(root, 'scripts/bundle.mjs')),
  );
  const stamp = path.join(root, 'dist/program/weftd.js');
  if (modified(stamp) > sources) return;
  say('compiling TypeScript');
  run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json']);
  run(process.execPath, ['scripts/bundle.mjs']);
}

/** For tests that need root; who can't have it is told why, and has the other tests. */
function kubernetes() {
  if (process.getuid() !== 0) return;
  const stdio = ['ignore', 'ignore', 2];
  for (const script of ['build.mjs', 'tools.mjs'])
    spawnSync(process.execPath, [path.join('lab/kubernetes', script)], { cwd: root, stdio });
}

const usual = { packages, debian, linters, native, sanitized, dist };
const steps = { ...usual, kubernetes };
const wanted = [...(only ?? Object.keys(usual)), ...more];
try {
  for (const [name, step] of Object.entries(steps)) if (wanted.includes(name)) step();
} catch (error) {
  process.stderr.write(`setup: ${error.message}\n`);
  process.exit(71);
}
