/**
 * Addresses that the CNI plugin host-local holds for containers that no longer exist: a host that lost power, or a runtime that forgot
 * a pod, leaves them, and when the subnet is full of them no pod can start.
 *
 * The rule: an address of this node's own subnets is left over when it has been held for at least {@link OLD_MS} and no network
 * namespace of this host has it. Whether all namespaces were seen is known by the veth devices of this host: the other end of each must
 * be in one of them. While one is missing, nothing is called left over.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, stat, unlink } from 'node:fs/promises';
import path from 'node:path';
import type { LeaseSubnets } from '../cluster/lease/lease.ts';
import { formatAddress, parseAddress, prefixContains } from '../shared/address.ts';
import { EXIT, WeftError } from '../shared/errors.ts';
import type { AddressedLink } from './ip-json.ts';
import { type NetworkNamespaces, readNetworkNamespaces } from './network-namespaces.ts';

/** A folder for each network, in it a file for each address, beside its lock. */
export const HOST_LOCAL_FOLDER = '/var/lib/cni/networks';
/** A container that is being started has its address for longer than its namespace has it. */
export const OLD_MS = 600_000;
const LOCK_SECONDS = 10;

/** As host-local wrote it; `container` is untrusted text. */
export interface HeldAddress {
  network: string;
  address: string;
  container: string;
  /** when, ms since the epoch */
  heldAtMs: number;
}

export interface LeftOver {
  /** all of this node's subnets */
  held: readonly HeldAddress[];
  left: readonly HeldAddress[];
  /** why nothing is called left over; '' where all could be seen */
  doubt: string;
}

/** Needs root. Without the folder nothing is held. */
export async function findLeftOver(
  own: LeaseSubnets,
  folder = HOST_LOCAL_FOLDER,
): Promise<LeftOver> {
  // First: what is given away meanwhile is not in the list.
  const held = await readHeld(own, folder);
  if (held.length === 0) return { held, left: [], doubt: '' };
  return judgeHeld(held, await readNetworkNamespaces(), Date.now());
}

/** Pure. */
export function judgeHeld(
  held: readonly HeldAddress[],
  { links, unseen }: NetworkNamespaces,
  nowMs: number,
): LeftOver {
  if (unseen.length > 0) {
    const doubt = `${unseen[0]} leads into a network namespace that can't be seen from here: run it as root on the host itself, not in a container`;
    return { held, left: [], doubt };
  }
  const hidden = hidesAddresses(links);
  if (hidden !== undefined) {
    const doubt = `the pod behind ${hidden} has no address of its own, as a sandbox or a virtual machine that took it over`;
    return { held, left: [], doubt };
  }
  const inUse = new Set(
    links.flat().flatMap(({ addr_info }) => addr_info.map(({ local }) => canonical(local))),
  );
  const left = held.filter(
    ({ address, heldAtMs }) => !inUse.has(canonical(address)) && nowMs - heldAtMs >= OLD_MS,
  );
  return { held, left, doubt: '' };
}

/** A device on a bridge of ours whose other end is in a namespace without any address: gVisor and virtual machines take a pod's away. */
function hidesAddresses([own = [], ...others]: NetworkNamespaces['links']): string | undefined {
  const bare = others.filter((links) =>
    links.every(({ addr_info }) => addr_info.every(({ scope }) => scope !== 'global')),
  );
  const ends = new Set(
    bare.flat().flatMap(({ ifindex, link_index: other }) => `${other} ${ifindex}`),
  );
  const isHidden = ({ ifindex, link_index: other, master }: AddressedLink): boolean =>
    master !== undefined && ends.has(`${ifindex} ${other}`);
  return own.find(isHidden)?.ifname;
}

/** One text for one address, whoever wrote it. */
function canonical(text: string): string {
  const words = parseAddress(text);
  return words ? formatAddress(words) : text;
}

/** Gives these back; those that somebody else holds by now are left. Resolves with what was given back. */
export async function giveBack(
  left: readonly HeldAddress[],
  folder = HOST_LOCAL_FOLDER,
): Promise<HeldAddress[]> {
  const given: HeldAddress[] = [];
  for (const network of new Set(left.map((each) => each.network))) {
    await withLock(path.join(folder, network, 'lock'), async () => {
      for (const each of left) {
        if (each.network !== network) continue;
        const now = await readOne(folder, network, each.address);
        if (now?.container !== each.container || now.heldAtMs !== each.heldAtMs) continue;
        await unlink(path.join(folder, network, each.address));
        given.push(each);
      }
    });
  }
  return given;
}

async function readHeld(
  { subnet4, subnet6 }: LeaseSubnets,
  folder: string,
): Promise<HeldAddress[]> {
  const held: HeldAddress[] = [];
  for (const network of await readdir(folder).catch(() => [])) {
    for (const file of await readdir(path.join(folder, network)).catch(() => [])) {
      const words = parseAddress(file);
      const isOurs = [subnet4, subnet6].some((own) => words && own && prefixContains(own, words));
      const one = isOurs ? await readOne(folder, network, file) : undefined;
      if (one) held.push(one);
    }
  }
  return held;
}

/** undefined when it is gone. */
async function readOne(
  folder: string,
  network: string,
  file: string,
): Promise<HeldAddress | undefined> {
  const place = path.join(folder, network, file);
  try {
    const { mtimeMs } = await stat(place);
    const [container = ''] = (await readFile(place, 'utf8')).split(/\r?\n/);
    return { network, address: file, container: container.trim(), heldAtMs: mtimeMs };
  } catch {
    return undefined;
  }
}

/** The lock that host-local takes for each call (flock(2), which Node does not have): held by a child until the work is done. */
async function withLock(file: string, work: () => Promise<void>): Promise<void> {
  const child = spawn('flock', ['--exclusive', '--wait', String(LOCK_SECONDS), file, 'cat'], {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
  });
  const ended = new Promise<never>((_, reject) => {
    const fail = (): void =>
      reject(
        new WeftError(
          'ERR_LOCK',
          EXIT.os,
          `${file}: not to be had within ${LOCK_SECONDS} s; is a plugin stuck?`,
        ),
      );
    child.once('error', fail).once('exit', fail);
  });
  ended.catch(() => undefined);
  child.stdin.on('error', () => undefined);
  try {
    child.stdin.write('held\n');
    await Promise.race([once(child.stdout, 'data'), ended]);
    await work();
  } finally {
    child.stdin.end();
  }
}
