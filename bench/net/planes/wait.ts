/** Waiting for what other programs make, and asking which they are. */
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../../src/lab/command.ts';
import type { Namespace } from '../../../src/lab/namespace.ts';

const WAIT_MS = 10_000;

/** Returns when the device is there; throws after 10 s. */
export async function waitForDevice(namespace: Namespace, device: string): Promise<void> {
  const deadline = Date.now() + WAIT_MS;
  while (Date.now() < deadline) {
    const args = ['-n', namespace.name, 'link', 'show', 'dev', device];
    if ((await run('ip', args, { allowFailure: true })).code === 0) return;
    await sleep(50);
  }
  throw new Error(`no device ${device} after ${WAIT_MS} ms`);
}

/** "0.0.20220316-1+b4", as Debian names it; for programs that don't tell. */
export async function packageVersion(name: string): Promise<string> {
  const { stdout } = await run('dpkg-query', ['--show', name]);
  return stdout.trim().split('\t')[1] ?? 'unknown';
}
