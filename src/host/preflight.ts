/** What must be there before anything is changed, each with a message that says what to do. */
import { access, constants, readFile } from 'node:fs/promises';
import { EXIT, WeftError } from '../shared/errors.ts';
import { type Exec, exec } from './exec.ts';
import { ipJson, LINK, type Link } from './ip-json.ts';
import { besideFlannel, findFlanneld } from './other-flannel.ts';
import { TUN_NODE } from './tun-node.ts';

const CAP_NET_ADMIN = 12n;

/** Throws WeftError ERR_PERMISSION. */
export async function checkPermission(): Promise<void> {
  const status = await readFile('/proc/self/status', 'utf8');
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  if (((effective >> CAP_NET_ADMIN) & 1n) !== 0n) return;
  throw new WeftError(
    'ERR_PERMISSION',
    EXIT.noPermission,
    'no permission to make network devices: run weftd as root or give it CAP_NET_ADMIN',
  );
}

const PASS_IN =
  'pass the device in (--device /dev/net/tun, in a pod a hostPath volume of type CharDevice)';
const TUN_ADVICE: Readonly<Record<string, string>> = {
  ENOENT: `load the module (modprobe tun); in a container ${PASS_IN}`,
  EPERM: `the container runtime forbids it, as runc 1.2.0 to 1.2.3 do in pods: update it, ${PASS_IN}, or make the container privileged`,
};

/** Throws WeftError ERR_NO_TUN. */
export async function checkTun(): Promise<void> {
  await access(TUN_NODE, constants.R_OK | constants.W_OK).catch((error: NodeJS.ErrnoException) => {
    const advice = TUN_ADVICE[error.code ?? ''] ?? 'give this user read and write access to it';
    throw new WeftError(
      'ERR_NO_TUN',
      EXIT.os,
      `${TUN_NODE} can't be used (${error.code}): ${advice}`,
      error,
    );
  });
}

/** Kind of a kernel vxlan device, as `ip -d link` names it: what stock flannel makes. */
const KERNEL_VXLAN = 'vxlan';

export function isKernelVxlan({ linkinfo }: Pick<Link, 'linkinfo'>): boolean {
  return linkinfo?.info_kind === KERNEL_VXLAN;
}

/** A vxlan device that a stock flannel left under our name. */
export interface Leftover {
  name: string;
  /** what its peers send to */
  mac: string;
}

/**
 * The devices of stock flannel that we shall take the place of. A device of which we hold a queue (`held`) is ours, and one that a
 * weftd left without queues becomes ours. Throws WeftError ERR_TUN_BUSY when another device has a name of ours, ERR_PORT_TAKEN when
 * another kernel vxlan device holds the port, ERR_OTHER_FLANNEL when a flanneld that is alive has either. Without this, a second weftd of
 * the same user would silently share both with the first.
 */
export async function checkDevices(
  names: readonly string[],
  port: number,
  held: ReadonlySet<string> = new Set(),
  run: Exec = exec,
  find: typeof findFlanneld = findFlanneld,
): Promise<Leftover[]> {
  const links = await ipJson(LINK, ['-d', 'link', 'show'], run);
  const existing = links.filter((link) => names.includes(link.ifname));
  const holder = await kernelVxlanOn(port, names, run);
  const theirs = existing.find((link) => !isOurMake(link))?.ifname ?? holder?.ifname;
  const flanneld = theirs?.startsWith('flannel') ? await find() : undefined;
  if (flanneld) throw besideFlannel(flanneld, `has ${theirs}`);
  const isOurs = (link: Link): boolean => held.has(link.ifname) || isAbandoned(link);
  const busy = existing.find((link) => !isKernelVxlan(link) && !isOurs(link));
  if (busy) {
    const name = busy.ifname;
    const kind = busy.linkinfo?.info_kind ?? 'other';
    const isInUse = Number(busy.linkinfo?.info_data?.['numqueues'] ?? 0) > 0;
    const advice = isInUse
      ? `its queues are open: another weftd runs here, stop it, or weft-keeper keeps them for one that has gone, see weft-keeper drop`
      : `it is a ${kind} device of another make; remove it with: ip link delete ${name}`;
    throw new WeftError('ERR_TUN_BUSY', EXIT.os, `device ${name} exists already: ${advice}`);
  }
  if (holder)
    throw new WeftError('ERR_PORT_TAKEN', EXIT.os, `UDP port ${port} is taken: ${owns(holder)}`);
  return existing
    .filter(isKernelVxlan)
    .map(({ ifname, address = '' }) => ({ name: ifname, mac: address }));
}

/** A TUN device as we make it, whose last queue is closed: what a weftd that ended leaves. */
function isAbandoned(link: Link): boolean {
  return isOurMake(link) && link.linkinfo?.info_data?.['numqueues'] === 0;
}

/** flannel's own TUN device has one queue. */
function isOurMake({ linkinfo }: Pick<Link, 'linkinfo'>): boolean {
  const { type, multi_queue } = linkinfo?.info_data ?? {};
  return linkinfo?.info_kind === 'tun' && type === 'tun' && multi_queue === true;
}

/** A message that names the kernel vxlan device, not one of `but`, which holds a UDP port (only while it is up), or undefined. */
export async function findPortHolder(
  port: number,
  run: Exec = exec,
  but: readonly string[] = [],
): Promise<string | undefined> {
  const holder = await kernelVxlanOn(port, but, run);
  return holder && owns(holder);
}

async function kernelVxlanOn(
  port: number,
  but: readonly string[],
  run: Exec,
): Promise<Link | undefined> {
  const devices = await ipJson(LINK, ['-d', 'link', 'show', 'type', KERNEL_VXLAN], run);
  return devices.find(
    ({ ifname, flags, linkinfo }) =>
      linkinfo?.info_data?.['port'] === port && flags.includes('UP') && !but.includes(ifname),
  );
}

function owns({ ifname }: Link): string {
  return `the kernel vxlan device ${ifname} owns it; remove it with: ip link delete ${ifname}`;
}
