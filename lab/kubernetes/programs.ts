/** Where the real components of Kubernetes are. */
import { join } from 'node:path';
import { projectRoot } from '../../src/shared/root.ts';
import { run } from '../command.ts';

/** A cold build takes some minutes, on a busy machine many. */
const BUILD_MS = 3_600_000;

/** A download of some tens of megabytes. */
const DOWNLOAD_MS = 600_000;

/** The program of a component; built first where it is not there yet, which says so on stderr. */
export async function kubernetesProgram(component: string): Promise<string> {
  const script = join(projectRoot(), 'lab/kubernetes/build.mjs');
  const { stdout } = await run(process.execPath, [script, component], { timeoutMs: BUILD_MS });
  return join(stdout.trim(), component);
}

/** Clients of a cluster, much newer than the components: downloaded first where they are not there yet, which says so on stderr. */
export async function kubernetesTool(name: 'kubectl' | 'helm'): Promise<string> {
  const script = join(projectRoot(), 'lab/kubernetes/tools.mjs');
  const { stdout } = await run(process.execPath, [script], { timeoutMs: DOWNLOAD_MS });
  return join(stdout.trim(), name);
}
