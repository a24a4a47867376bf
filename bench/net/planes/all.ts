/** Every data plane that bench:net knows, and how what they need gets onto the machine. */
import { availableParallelism } from 'node:os';
import { isInstalled, run } from '../../../lab/command.ts';
import { messageOf } from '../../../src/shared/errors.ts';
import type { Unpacked } from '../unpacked.ts';
import { foreignPlanes } from './foreign.ts';
import { labPlanes } from './lab-plane.ts';
import type { Plane } from './plane.ts';
import { hostGateway } from './routed.ts';

export const PLANES: readonly Plane[] = [
  ...labPlanes(availableParallelism()),
  hostGateway,
  ...foreignPlanes,
];

export const QUICK_PLANES: readonly string[] = [
  'kernel',
  'weft',
  'weft-fast',
  'none',
  'weft-kernel',
  'kernel-weft',
];

const INSTALL_MS = 300_000;

/** Those of `all` whose unpacked packages are there, or can be had. */
export async function withUnpacked<T extends { id: string; unpacked?: Unpacked }>(
  all: readonly T[],
  step: (text: string) => void,
  problem: (text: string) => void,
): Promise<T[]> {
  const usable: T[] = [];
  for (const each of all)
    try {
      if (each.unpacked) step(`unpacking Debian packages for ${each.id}`);
      await each.unpacked?.fetch();
      usable.push(each);
    } catch (error) {
      problem(`${each.id} is left out: ${messageOf(error)}`);
    }
  return usable;
}

/** Installs the Debian packages of overlays that are not there; returns the planes that can run. */
export async function installMissing(
  planes: readonly Plane[],
  step: (text: string) => void,
  problem: (text: string) => void,
): Promise<Plane[]> {
  const isMissing = ([command]: [string, string]): boolean => !isInstalled(command);
  const missing = planes.flatMap((plane) => Object.entries(plane.commands).filter(isMissing));
  const packages = [...new Set(missing.map(([, name]) => name))];
  if (packages.length > 0) {
    step(`installing Debian packages: ${packages.join(' ')}`);
    try {
      await run('apt-get', ['update', '-qq'], { timeoutMs: INSTALL_MS });
      const flags = ['install', '-y', '-qq', '--no-install-recommends'];
      await run('apt-get', [...flags, ...packages], { timeoutMs: INSTALL_MS });
    } catch (error) {
      problem(`Debian packages not installed: ${messageOf(error)}`);
    }
  }
  return planes.filter((plane) => {
    const lacks = Object.keys(plane.commands).filter((command) => !isInstalled(command));
    if (lacks.length > 0) problem(`${plane.id} is left out: ${lacks.join(', ')} not installed`);
    return lacks.length === 0;
  });
}
