/**
 * Images for containerd, as one archive: weft's own program with the files of its Dockerfile, on the kept Debian, and a pause container.
 * Laid together here and not by a builder, because that takes seconds and needs no network; test/system/image builds the Dockerfile itself.
 */
import { createHash } from 'node:crypto';
import {
  createReadStream,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { stageImage } from '../../src/cli/install/stage.ts';
import { projectRoot } from '../../src/shared/root.ts';
import { run } from '../command.ts';
import { debianRootfs } from '../rootfs.ts';

/** Names under which manifests of the lab find them. */
export const WEFT_IMAGE = 'localhost/weft:lab';
export const PAUSE_IMAGE = 'localhost/pause:lab';

/** What no container here looks at. */
const NOT_IN_BASE = [
  'usr/share/doc',
  'usr/share/man',
  'usr/share/locale',
  'usr/lib/systemd',
  'var/lib/apt',
  'var/cache',
];
const TAR_MS_MAX = 120_000;
/** The same files give the same layer. */
const SAME = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'];

interface Layer {
  file: string;
  /** "sha256:..." */
  digest: string;
}

/** Writes the archive below `folder` and returns its path. */
export async function clusterImages(folder: string): Promise<string> {
  const archive = path.join(folder, 'archive');
  mkdirSync(archive, { recursive: true });
  const base = await baseLayer();
  const weft = await weftLayer(folder);
  for (const { file, digest } of [base, weft])
    linkSync(file, path.join(archive, `${hex(digest)}.tar`));
  const manifest = [
    imageOf(archive, WEFT_IMAGE, [base, weft], entrypoint()),
    imageOf(archive, PAUSE_IMAGE, [base], ['/usr/bin/sleep', 'infinity']),
  ];
  writeFileSync(path.join(archive, 'manifest.json'), JSON.stringify(manifest));
  const file = path.join(folder, 'images.tar');
  await run('tar', ['-C', archive, '-cf', file, '.'], { timeoutMs: TAR_MS_MAX });
  return file;
}

/** Debian with Node, kept beside the tree that it is made from. */
async function baseLayer(): Promise<Layer> {
  const root = await debianRootfs();
  const file = `${root}.tar`;
  const digestFile = `${file}.digest`;
  if (!existsSync(digestFile)) {
    const draft = `${file}.${process.pid}`;
    const skips = NOT_IN_BASE.map((name) => `--exclude=./${name}`);
    await run('tar', [...SAME, '-C', root, ...skips, '-cf', draft, '.'], { timeoutMs: TAR_MS_MAX });
    renameSync(draft, file);
    writeFileSync(digestFile, await digestOf(file));
  }
  return { file, digest: readFileSync(digestFile, 'utf8') };
}

async function weftLayer(folder: string): Promise<Layer> {
  const root = path.join(folder, 'root');
  await stageImage(root);
  // Debian's own Node is where the official image has another one.
  mkdirSync(path.join(root, 'usr/local/bin'), { recursive: true });
  symlinkSync('/usr/bin/node', path.join(root, 'usr/local/bin/node'));
  const file = path.join(folder, 'weft.tar');
  await run('tar', [...SAME, '-C', root, '-cf', file, '.'], { timeoutMs: TAR_MS_MAX });
  return { file, digest: await digestOf(file) };
}

/** As the Dockerfile says. */
function entrypoint(): string[] {
  const dockerfile = readFileSync(path.join(projectRoot(), 'Dockerfile'), 'utf8');
  return JSON.parse(/^ENTRYPOINT (\[.*\])$/m.exec(dockerfile)?.[1] ?? '[]') as string[];
}

/** Writes an image's configuration into the archive; returns its line of the manifest. */
function imageOf(
  archive: string,
  name: string,
  layers: readonly Layer[],
  command: readonly string[],
): object {
  const config = JSON.stringify({
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: {
      Entrypoint: command,
      Env: [
        'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        'NODE_ENV=production',
      ],
    },
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
  });
  const file = `${createHash('sha256').update(config).digest('hex')}.json`;
  writeFileSync(path.join(archive, file), config);
  return {
    Config: file,
    RepoTags: [name],
    Layers: layers.map(({ digest }) => `${hex(digest)}.tar`),
  };
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return `sha256:${hash.digest('hex')}`;
}

function hex(digest: string): string {
  return digest.slice('sha256:'.length);
}
