/** Lays an installed weft under a root folder: / for `weft install`, a staging folder for packages. */
import { execFile } from 'node:child_process';
import { chmod, cp, lstat, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { projectRoot } from '../../shared/root.ts';
import {
  COMPLETIONS,
  IMAGE_LINKS,
  type InstalledFile,
  type InstalledFolder,
  installedFiles,
  installedFolders,
  LINKS,
  PROGRAM_FOLDER,
  programFiles,
} from './files.ts';

/** Told what is written, one path each. */
export type OnWrite = (file: string) => void;

/** Writes everything. */
export async function stage(root: string, onWrite: OnWrite): Promise<void> {
  await stageProgram(root);
  onWrite(PROGRAM_FOLDER);
  for (const file of installedFiles()) if (await copyFile(root, file)) onWrite(file.to);
  for (const [link, target] of LINKS) {
    await replaceLink(path.join(root, link), target);
    onWrite(link);
  }
  await writeCompletions(root, onWrite);
}

/** Writes the program's folder alone. It is replaced as a whole, so that nothing of an older version stays. */
async function stageProgram(root: string): Promise<void> {
  await rm(path.join(root, PROGRAM_FOLDER), { recursive: true, force: true });
  for (const folder of await installedFolders()) await copyFolder(root, folder);
  for (const file of programFiles()) await copyFile(root, file);
}

/** Writes what the container image has besides its base: the program's folder, and links to it. */
export async function stageImage(root: string): Promise<void> {
  await stageProgram(root);
  for (const [link, target] of IMAGE_LINKS) await replaceLink(path.join(root, link), target);
}

/** The parts of an installed weft that {@link unstage} removes: everything but the operator's settings. */
export function stagedPaths(): string[] {
  const files = installedFiles().filter(({ isConfig }) => !isConfig);
  const links = LINKS.map(([link]) => link);
  return [...files.map(({ to }) => to), ...links, ...Object.values(COMPLETIONS), PROGRAM_FOLDER];
}

export async function unstage(root: string, onRemove: OnWrite): Promise<void> {
  for (const name of stagedPaths()) {
    const file = path.join(root, name);
    if (!(await lstat(file).catch(() => undefined))) continue;
    await rm(file, { recursive: true });
    onRemove(name);
  }
}

async function copyFolder(root: string, { from, to, skips }: InstalledFolder): Promise<void> {
  await cp(from, path.join(root, to), {
    recursive: true,
    dereference: true,
    filter: (source) => !skips(path.relative(from, source)),
  });
}

/** False where an operator's file was left as it is. */
async function copyFile(root: string, file: InstalledFile): Promise<boolean> {
  const to = path.join(root, file.to);
  if (file.isConfig && (await lstat(to).catch(() => undefined))) return false;
  const bytes = await readFile(file.from);
  await mkdir(path.dirname(to), { recursive: true });
  await writeFile(to, file.isManPage ? await promisify(gzip)(bytes, { level: 9 }) : bytes);
  await chmod(to, file.mode);
  return true;
}

async function replaceLink(link: string, target: string): Promise<void> {
  await mkdir(path.dirname(link), { recursive: true });
  await rm(link, { force: true });
  await symlink(target, link);
}

async function writeCompletions(root: string, onWrite: OnWrite): Promise<void> {
  const program = path.join(projectRoot(), 'bin/weft');
  for (const [shell, file] of Object.entries(COMPLETIONS)) {
    const { stdout } = await promisify(execFile)(process.execPath, [program, 'completion', shell]);
    await mkdir(path.dirname(path.join(root, file)), { recursive: true });
    await writeFile(path.join(root, file), stdout);
    onWrite(file);
  }
}
