/** A Debian of its own for tests, made by debootstrap once and kept: what boots in a machine, and the base of the container image. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { requireCommands, run } from './command.ts';

const SUITE = 'trixie';
const CACHE = '/var/cache/weft-rootfs';
const MAKE_MS_MAX = 900_000;

/** systemd, what weft depends on (Node 20.19 is Debian's own), and tools that tests use inside. */
const PACKAGES = [
  'systemd',
  'systemd-sysv',
  'dbus',
  'nodejs',
  'iproute2',
  'nftables',
  'iptables',
  'procps',
  'iputils-ping',
  'ca-certificates',
];

/** The folder of the tree; nobody may write to it: use it as the lower layer of an overlay. */
export async function debianRootfs(): Promise<string> {
  const recipe = JSON.stringify([SUITE, PACKAGES]);
  const hash = createHash('sha256').update(recipe).digest('hex').slice(0, 12);
  const folder = path.join(CACHE, `${SUITE}-${hash}`);
  if (existsSync(folder)) return folder;
  requireCommands(['debootstrap']);
  const unfinished = `${folder}.${process.pid}`;
  mkdirSync(CACHE, { recursive: true });
  try {
    const include = `--include=${PACKAGES.join(',')}`;
    await run('debootstrap', ['--variant=minbase', include, SUITE, unfinished, await mirror()], {
      timeoutMs: MAKE_MS_MAX,
    });
    renameSync(unfinished, folder);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return folder;
}

/** The archive that this machine installs from. */
async function mirror(): Promise<string> {
  const format = ['indextargets', '--format', '$(SITE)'];
  const { stdout } = await run('apt-get', format);
  const sites = [...new Set(stdout.split('\n').filter(Boolean))];
  const site = sites.find((name) => !/security/.test(name));
  if (site) return site;
  throw new Error('apt knows no archive: see /etc/apt/sources.list');
}
