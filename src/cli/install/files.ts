/** What an installed weft consists of, and where each part goes: one table for `weft install` and for the Debian package. */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { projectRoot } from '../../shared/root.ts';

/** Where the program lies. */
export const PROGRAM_FOLDER = '/usr/lib/weft';
export const UNIT = 'weftd.service';
/** Holds secrets: the etcd password. */
export const DEFAULTS_FILE = '/etc/default/weftd';

export interface InstalledFile {
  /** absolute */
  from: string;
  /** absolute, under the root that is installed to */
  to: string;
  mode: number;
  /** an operator's file: never overwritten */
  isConfig?: boolean;
  /** troff, gzipped on the way */
  isManPage?: boolean;
}

export interface InstalledFolder {
  from: string;
  to: string;
  /** relative paths that are left out */
  skips: (file: string) => boolean;
}

/** Relative to the project: single files outside the program's folder. */
const FILES: readonly [from: string, to: string, extra?: Partial<InstalledFile>][] = [
  ['deploy/systemd/weftd.service', `/usr/lib/systemd/system/${UNIT}`],
  ['deploy/systemd/sysusers.conf', '/usr/lib/sysusers.d/weft.conf'],
  ['deploy/systemd/tmpfiles.conf', '/usr/lib/tmpfiles.d/weft.conf'],
  ['deploy/systemd/sysctl.conf', '/usr/lib/sysctl.d/50-weft.conf'],
  ['deploy/systemd/modules-load.conf', '/usr/lib/modules-load.d/weft.conf'],
  ['deploy/network/NetworkManager.conf', '/usr/lib/NetworkManager/conf.d/50-weft.conf'],
  ['deploy/network/networkd.network', '/usr/lib/systemd/network/00-weft.network'],
  [
    'deploy/network/networkd-foreign-routes.conf',
    '/usr/share/doc/weft/networkd-foreign-routes.conf',
  ],
  ['deploy/systemd/default', DEFAULTS_FILE, { mode: 0o640, isConfig: true }],
  ['docs/man/weftd.8', '/usr/share/man/man8/weftd.8.gz', { isManPage: true }],
  ['docs/man/weft.1', '/usr/share/man/man1/weft.1.gz', { isManPage: true }],
];

/** Completions are written by the program itself. */
export const COMPLETIONS = {
  bash: '/usr/share/bash-completion/completions/weft',
  zsh: '/usr/share/zsh/vendor-completions/_weft',
  fish: '/usr/share/fish/vendor_completions.d/weft.fish',
} as const;

/** Links: the commands. */
export const LINKS: readonly [link: string, target: string][] = [
  ['/usr/bin/weftd', '../lib/weft/bin/weftd'],
  ['/usr/bin/weft', '../lib/weft/bin/weft'],
];

/** Links in the container image: the commands, and what manifests written for flannel's images call, where they look for it. */
export const IMAGE_LINKS: readonly [link: string, target: string][] = [
  ['/usr/local/bin/weftd', `${PROGRAM_FOLDER}/bin/weftd`],
  ['/usr/local/bin/weft', `${PROGRAM_FOLDER}/bin/weft`],
  ['/flannel', `${PROGRAM_FOLDER}/native/build/cni/flannel`],
  ['/opt/bin/flanneld', `${PROGRAM_FOLDER}/bin/weftd`],
  ['/opt/bin/install-conf', `${PROGRAM_FOLDER}/native/build/cni/install-conf`],
  ['/opt/bin/mk-docker-opts.sh', `${PROGRAM_FOLDER}/bin/mk-docker-opts.sh`],
  ['/opt/bin/weft-keeper', `${PROGRAM_FOLDER}/native/build/keeper/weft-keeper`],
];

export function installedFiles(): InstalledFile[] {
  return FILES.map(([from, to, extra]) => ({
    from: path.join(projectRoot(), from),
    to,
    mode: 0o644,
    ...extra,
  }));
}

/** What runs of native/build: the addon, the CNI plugin under both names and what installs its config, the keeper. */
const NATIVE = [
  ...['', 'weft.node'],
  ...['cni', 'cni/flannel', 'cni/weft', 'cni/install-conf'],
  ...['keeper', 'keeper/weft-keeper'],
];

/** The program, the addon, and the packages that run needs. */
export async function installedFolders(): Promise<InstalledFolder[]> {
  const folder = (name: string, skips: InstalledFolder['skips']): InstalledFolder => ({
    from: path.join(projectRoot(), name),
    to: path.join(PROGRAM_FOLDER, name),
    skips,
  });
  const isOfDevelopment = (file: string): boolean =>
    /(^(test|tests|benchmarks)(\/|$))|\/obj\.target|\.(map|[cm]?ts|h|c|cc|cpp|o|a|d|mk|gyp|gypi)$|Makefile$/.test(
      file,
    );
  const packages = await productionPackages();
  return [
    folder('bin', () => false),
    folder('dist/program', () => false),
    folder('native/build', (file) => !NATIVE.includes(file)),
    ...packages.map((name) =>
      folder(name, (file) => file.startsWith('node_modules') || isOfDevelopment(file)),
    ),
  ];
}

/** Single files of the program's folder. */
export function programFiles(): InstalledFile[] {
  const names = ['package.json', 'LICENSE'];
  return names.map((name) => ({
    from: path.join(projectRoot(), name),
    to: path.join(PROGRAM_FOLDER, name),
    mode: 0o644,
  }));
}

/** Types, and headers that raw-socket is compiled with. */
const OF_BUILDS = /\/(@types\/|nan$)/;

const lockShape = z.object({
  packages: z.record(
    z.string(),
    z.looseObject({ dev: z.boolean().optional(), os: z.array(z.string()).optional() }),
  ),
});

/** Folders of the packages that run-time needs, from the lockfile; optional ones only where they are installed. */
async function productionPackages(): Promise<string[]> {
  const lock = await readFile(path.join(projectRoot(), 'package-lock.json'), 'utf8');
  const { packages } = lockShape.parse(JSON.parse(lock));
  return Object.entries(packages)
    .filter(([name, { dev }]) => name !== '' && !dev && !OF_BUILDS.test(name))
    .map(([name]) => name)
    .filter(isInstalled);
}

function isInstalled(name: string): boolean {
  try {
    readFileSync(path.join(projectRoot(), name, 'package.json'));
    return true;
  } catch {
    return false;
  }
}
