/** What joining by somebody else's overlay takes: its version, its daemon, and the device that the daemon makes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../../lab/command.ts';
import type { LabProcess } from '../../../lab/process.ts';
import { EXIT, WeftError } from '../../../src/shared/errors.ts';
import type { RoutedNode } from './routed.ts';

const DEVICE_TIMEOUT_MS = 10_000;

/** "<name> <version>", where the pattern's first group is found in what the command says about itself. */
export async function versionFrom(
  name: string,
  command: readonly [string, ...string[]],
  pattern: RegExp,
): Promise<string> {
  const [program, ...args] = command;
  // Some print their version only along with the usage, and then exit with an error.
  const { stdout, stderr } = await run(program, args, { allowFailure: true });
  const version = `${stdout}\n${stderr}`.match(pattern)?.[1];
  if (version) return `${name} ${version}`;
  throw new WeftError(
    'ERR_PLANE',
    EXIT.os,
    `${command.join(' ')} names no version that looks like ${pattern}; is it the program of Debian's package?`,
  );
}

/** Waits until `ip link` shows the device, and shows it as wanted; throws with the daemon's last lines. */
export async function waitForDevice(
  daemon: LabProcess,
  node: RoutedNode,
  device: string,
  wanted = /mtu/,
): Promise<void> {
  const deadline = Date.now() + DEVICE_TIMEOUT_MS;
  for (;;) {
    const args = ['-o', 'link', 'show', 'dev', device];
    const { stdout } = await node.namespace.exec('ip', args, { allowFailure: true });
    if (wanted.test(stdout)) return;
    const isLate = Date.now() > deadline;
    if (daemon.exit !== undefined || isLate) throw deviceMissing(daemon, node, device);
    await sleep(20);
  }
}

function deviceMissing(daemon: LabProcess, node: RoutedNode, device: string): WeftError {
  const state = daemon.exit ?? `still starting after ${DEVICE_TIMEOUT_MS} ms`;
  return new WeftError(
    'ERR_PLANE',
    EXIT.failure,
    `${node.namespace.name}: no device ${device} from its daemon (${state}): ${daemon.lastLines()}`,
  );
}

/** Brings a point-to-point device up and sends everything for the other node's pods into it. */
export async function routeInto(node: RoutedNode, device: string, mtu: number): Promise<void> {
  await node.namespace.ip('link', 'set', device, 'mtu', String(mtu), 'up');
  await node.namespace.ip('route', 'add', node.remoteSubnet, 'dev', device);
}

/** Address inside the overlay of an overlay whose devices need one: 10.97.0.<index>. */
export function overlayAddress(index: number): string {
  return `10.97.0.${index}`;
}
