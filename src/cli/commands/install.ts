/** weft install, weft uninstall: a systemd service from a checkout or an unpacked archive, where there is no package. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import { EXIT, messageOf, WeftError } from '../../shared/errors.ts';
import { projectRoot } from '../../shared/root.ts';
import { DEFAULTS_FILE, PROGRAM_FOLDER, UNIT } from '../install/files.ts';
import { stage, stagedPaths, unstage } from '../install/stage.ts';

interface InstallOptions {
  systemd?: boolean;
  root: string;
  dryRun?: boolean;
}

const say = (text: string): void => void process.stdout.write(`${text}\n`);

export function addInstall(program: Command): void {
  addAction(program, 'install', 'install the systemd service from this folder', install);
  addAction(program, 'uninstall', 'remove what "weft install" installed', uninstall);
}

function addAction(
  program: Command,
  name: string,
  description: string,
  act: (options: InstallOptions) => Promise<void>,
): void {
  const command = program
    .command(name)
    .description(description)
    .option(
      '--systemd',
      'the systemd unit, user, defaults and man pages: the one kind of service there is',
    )
    .option('--root <folder>', 'install below this folder, for images; nothing is started', '/')
    .option('--dry-run', 'only say what would be done')
    .exitOverride();
  command.action(async (options: InstallOptions) => {
    if (!options.systemd) command.error('error: missing --systemd');
    checkPossible(options);
    await act(options);
  });
}

/** Throws WeftError ERR_INSTALL. */
function checkPossible({ root, dryRun }: InstallOptions): void {
  const refuse = (message: string): never => {
    throw new WeftError('ERR_INSTALL', EXIT.failure, message);
  };
  if (projectRoot() === PROGRAM_FOLDER)
    refuse(
      `this weft is the installed one (${PROGRAM_FOLDER}); run it from the new version's folder`,
    );
  if (existsSync('/var/lib/dpkg/info/weft.list') && root === '/')
    refuse('weft is installed as a Debian package here; use: apt install or apt remove');
  if (!dryRun && root === '/' && process.getuid?.() !== 0) refuse('run this as root');
  if (!dryRun && root === '/' && !existsSync('/run/systemd/system'))
    refuse('systemd does not run here; use --root FOLDER to install into an image');
}

async function install({ root, dryRun }: InstallOptions): Promise<void> {
  if (dryRun) return sayAll('would write', [...stagedPaths(), DEFAULTS_FILE]);
  await stage(root, (file) => say(`wrote ${path.join(root, file)}`));
  if (root !== '/') return;
  await run('systemd-sysusers', ['weft.conf']);
  await run('systemd-tmpfiles', ['--create', 'weft.conf']);
  await run('sysctl', ['-q', '-p', '/usr/lib/sysctl.d/50-weft.conf']);
  await run('systemctl', ['daemon-reload']);
  if (existsSync('/run/systemd/netif')) await run('networkctl', ['reload']);
  if (existsSync('/run/NetworkManager')) await run('systemctl', ['reload', 'NetworkManager']);
  await run('systemctl', ['try-restart', UNIT]);
  say(`name the store and the interface in ${DEFAULTS_FILE}, then: systemctl enable --now weftd`);
}

async function uninstall({ root, dryRun }: InstallOptions): Promise<void> {
  if (dryRun) return sayAll('would remove', stagedPaths());
  if (root === '/') {
    await run('systemctl', ['disable', '--now', UNIT]);
    await run(process.execPath, [path.join(projectRoot(), 'bin/weft'), 'cleanup', '--keep-state']);
  }
  await unstage(root, (file) => say(`removed ${path.join(root, file)}`));
  if (root === '/') await run('systemctl', ['daemon-reload']);
  say(`${DEFAULTS_FILE} and /var/lib/weft stay; remove them by hand if nobody needs them`);
}

function sayAll(what: string, files: readonly string[]): void {
  for (const file of files) say(`${what} ${file}`);
}

/** Shows what is run; a step that fails is said and does not hold up the others. */
async function run(command: string, args: readonly string[]): Promise<void> {
  say(`ran ${[command, ...args].join(' ')}`);
  await promisify(execFile)(command, [...args]).catch((error) => {
    process.stderr.write(`weft: ${messageOf(error).trim()}\n`);
  });
}
