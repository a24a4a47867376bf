/** containerd and runc from Debian's packages, unpacked beside the components: a machine's own runtime is left alone. */
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { aptIn, unpackPackages } from './apt.mjs';

/** Name of the folder that has usr/bin/containerd, usr/sbin/runc, ... */
export const RUNTIME = 'runtime';
const PACKAGES = ['containerd', 'runc', 'libseccomp2'];

export function fetchRuntime(work, out, say) {
  say('downloading containerd and runc (30 MB)');
  const downloads = path.join(work, 'runtime-downloads');
  const root = path.join(work, RUNTIME);
  for (const folder of [downloads, root]) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
  }
  unpackPackages(aptIn(work, downloads), PACKAGES, downloads, root);
  renameSync(root, path.join(out, RUNTIME));
}
