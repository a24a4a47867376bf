/** Where the real components of Kubernetes are. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { EXIT, WeftError } from '../../src/shared/errors.ts';
import { projectRoot } from '../../src/shared/root.ts';
import { run } from '../command.ts';

/** A cold build takes some minutes, on a busy machine many. */
const BUILD_MS = 3_600_000;
/** A download of some tens of megabytes. */
const DOWNLOAD_MS = 600_000;

/** The program of a component; built first where it is not there yet. */
export async function kubernetesProgram(component: string): Promise<string> {
  const words = [script('build'), component];
  const { stdout } = await run(process.execPath, words, { timeoutMs: BUILD_MS });
  return join(stdout.trim(), component);
}

/** Clients of a cluster, much newer than the components; downloaded first where they are not there yet. */
export async function kubernetesTool(name: 'kubectl' | 'helm'): Promise<string> {
  const { stdout } = await run(process.execPath, [script('tools')], { timeoutMs: DOWNLOAD_MS });
  return join(stdout.trim(), name);
}

/** Builds whatever is not there yet and says on stderr what is being done. */
export async function buildKubernetes(): Promise<void> {
  const child = spawn(process.execPath, [script('build')], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0)
    throw new WeftError(
      'ERR_KUBERNETES_BUILD',
      EXIT.os,
      'Kubernetes could not be built, see above',
    );
}

function script(name: string): string {
  return join(projectRoot(), `lab/kubernetes/${name}.mjs`);
}
