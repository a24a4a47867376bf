/**
 * /dev/net/tun where a manifest does not pass it in, as flannel's does not: a container may make the node itself where its runtime leaves it
 * CAP_MKNOD and allows the device, as most do.
 */
import { access, mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Exec, exec } from './exec.ts';

export const TUN_NODE = '/dev/net/tun';
/** Linux admin-guide/devices. */
const NUMBERS = { major: '10', minor: '200' } as const;

/** True when it was missing and is there now. Who needs it is told by checkTun why it is not. */
export async function makeTunNode(run: Exec = exec): Promise<boolean> {
  const isThere = await access(TUN_NODE).then(
    () => true,
    () => false,
  );
  if (isThere || !isOwnDev(await readFile('/proc/self/mountinfo', 'utf8'))) return false;
  try {
    await mkdir(dirname(TUN_NODE), { recursive: true });
    await run('mknod', ['-m', '666', TUN_NODE, 'c', NUMBERS.major, NUMBERS.minor]);
    return true;
  } catch {
    return false;
  }
}

/** A host's /dev is the kernel's, with nodes for what it has; that of a container is a tmpfs of its own. */
export function isOwnDev(mountinfo: string): boolean {
  const last = mountinfo.split('\n').findLast((line) => line.split(' ')[4] === '/dev');
  return last?.split(' - ')[1]?.split(' ')[0] === 'tmpfs';
}
