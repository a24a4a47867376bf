/** Container images for tests, by buildah: no engine and no registry are needed, the base is made here. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { commandEnvironment, requireCommands, run } from './command.ts';
import type { LabScope } from './namespace.ts';
import { debianRootfs } from './rootfs.ts';

const BUILD_MS_MAX = 900_000;
/** What a slim base does not have either. */
const NOT_IN_BASE = ['usr/share/doc', 'usr/share/man', 'usr/share/locale', 'var/lib/apt/lists'];

/** What an image says about itself, as far as tests look at it. */
export interface ImageConfig {
  Entrypoint?: string[];
  User?: string;
  StopSignal?: string;
  Env?: string[];
  Labels?: Record<string, string>;
}

/** Images of one lab, in its temporary directory. */
export class ImageStore {
  readonly #flags: readonly string[];

  constructor(scope: LabScope) {
    requireCommands(['buildah', 'tar']);
    const folder = path.join(scope.tempDir, 'images');
    this.#flags = [`--root=${folder}/root`, `--runroot=${folder}/run`, '--storage-driver=vfs'];
  }

  /** An image of that name from the kept Debian and the Node and npm that run us, in the places of the official Node image. */
  async makeBase(name: string): Promise<void> {
    const container = await this.#buildah('from', 'scratch');
    const root = await this.#buildah('mount', container);
    const skips = NOT_IN_BASE.map((folder) => `--exclude=./${folder}`);
    const archive = path.join(path.dirname(root), 'base.tar');
    await run('tar', ['-C', await debianRootfs(), ...skips, '-cf', archive, '.'], {
      timeoutMs: BUILD_MS_MAX,
    });
    await run('tar', ['-C', root, '-xf', archive], { timeoutMs: BUILD_MS_MAX });
    rmSync(archive);
    addNode(root);
    // As in the official images: nobody needs the safety of fsync in a build.
    writeFileSync(path.join(root, 'etc/dpkg/dpkg.cfg.d/unsafe-io'), 'force-unsafe-io\n');
    await this.#buildah('commit', '--quiet', '--rm', container, name);
  }

  /** Builds the Dockerfile of a folder. Where this machine has settings of its own for npm or authorities, the build sees them. */
  async build(folder: string, name: string, args: Readonly<Record<string, string>>): Promise<void> {
    const seen = ['/etc/ssl/certs', path.join(homedir(), '.npmrc')].filter((file) =>
      existsSync(file),
    );
    await this.#buildah(
      'build',
      '--isolation=chroot',
      '--pull-never',
      '--quiet',
      ...seen.map((file) => `--volume=${file}:${file.replace(homedir(), '/root')}:ro`),
      ...Object.entries(args).map(([key, value]) => `--build-arg=${key}=${value}`),
      `--tag=${name}`,
      folder,
    );
  }

  async config(name: string): Promise<ImageConfig> {
    const text = await this.#buildah('inspect', '--type=image', name);
    return (JSON.parse(text) as { OCIv1: { config: ImageConfig } }).OCIv1.config;
  }

  /** The file system of an image, to be looked at and run; it lives as long as the store. */
  async unpack(name: string): Promise<string> {
    return this.#buildah('mount', await this.#buildah('from', '--pull-never', name));
  }

  /** Removes everything, as the clean-up of the lab's files alone could not: buildah mounts what it works on. */
  async close(): Promise<void> {
    await this.#buildah('rm', '--all');
  }

  async #buildah(...words: string[]): Promise<string> {
    const { stdout } = await run('buildah', [...this.#flags, ...words], {
      timeoutMs: BUILD_MS_MAX,
    });
    return stdout.trim();
  }
}

function addNode(root: string): void {
  const local = path.join(root, 'usr/local');
  const search = (commandEnvironment()['PATH'] ?? '')
    .split(':')
    .map((folder) => path.join(folder, 'npm'));
  const npm = search.find((file) => existsSync(file));
  if (!npm) throw new Error('npm is not in PATH');
  mkdirSync(path.join(local, 'lib/node_modules'), { recursive: true });
  cpSync(realpathSync(process.execPath), path.join(local, 'bin/node'));
  const folder = path.dirname(path.dirname(realpathSync(npm)));
  cpSync(folder, path.join(local, 'lib/node_modules/npm'), { recursive: true });
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', path.join(local, 'bin/npm'));
  // npm trusts the authorities of Node alone; a build sees this machine's (see build), which may be more.
  mkdirSync(path.join(local, 'etc'), { recursive: true });
  writeFileSync(path.join(local, 'etc/npmrc'), 'cafile=/etc/ssl/certs/ca-certificates.crt\n');
}
