/** The devices of all network namespaces of this host, and whether all of them were seen. Needs root. */
import { readdir, readlink, stat, statfs } from 'node:fs/promises';
import { type Exec, exec } from './exec.ts';
import { lookAtLinks } from './external-interface.ts';
import { ADDRESSED_LINK, type AddressedLink, parseIpJson } from './ip-json.ts';

/** Where `ip netns`, and with it container runtimes, give namespaces names. */
const NAMED = '/run/netns';
/** Where they are kept besides. */
const KEPT = [NAMED, '/run/docker/netns'];
/** statfs(2) of a namespace's file (linux/magic.h). */
const NSFS_MAGIC = 0x6e736673;
/** Namespaces that are looked into at the same time. */
const AT_ONCE = 8;

export interface NetworkNamespaces {
  /** this process's own one first */
  links: readonly (readonly AddressedLink[])[];
  /** own veth devices whose other end was not seen, and namespaces that can't be looked into */
  unseen: readonly string[];
}

/** A namespace that goes while it is looked at is left out. */
export async function readNetworkNamespaces(run: Exec = exec): Promise<NetworkNamespaces> {
  const own = await lookAtLinks(run);
  const named = namedEnds(await run('ip', ['-d', '-o', 'link', 'show']));
  const rest = await otherNamespaces();
  const links = [own];
  const unnamed: AddressedLink[] = [];
  const unseen: string[] = [];
  const work = async (): Promise<void> => {
    for (let place = rest.shift(); place !== undefined; place = rest.shift()) {
      const found = await linksIn(place, run);
      if (found) links.push(found);
      else if ((await numberOf(place)) !== undefined) unseen.push(place);
      if (found && !isNamed(place)) unnamed.push(...found);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return { links, unseen: [...unseen, ...unseenOf(own, named, unnamed)] };
}

/** undefined where it can't be looked into. */
async function linksIn(place: string, run: Exec): Promise<AddressedLink[] | undefined> {
  const args = [`--net=${place}`, 'ip', '-d', '-j', 'addr', 'show'];
  const text = await run('nsenter', args).catch(() => undefined);
  return text === undefined
    ? undefined
    : parseIpJson(ADDRESSED_LINK, text, `nsenter ${args.join(' ')}`);
}

/** Devices whose other end is in a namespace that has a name, by `ip -o link`: only without -j it says which. */
export function namedEnds(text: string): Set<string> {
  const names = [...text.matchAll(/^\d+: ([^@:\s]+)@.* link-netns \S/gm)];
  return new Set(names.map(([, name = '']) => name));
}

/**
 * Own veth devices whose other end was not seen. `named`: those whose other end is in a namespace with a name. The rest is looked for
 * among the devices of the others by its numbers; each end serves one device.
 */
export function unseenOf(
  own: readonly AddressedLink[],
  named: ReadonlySet<string>,
  unnamed: readonly AddressedLink[],
): string[] {
  const ends = new Map<string, number>();
  for (const { ifindex, link_index: other } of unnamed) {
    const pair = `${other} ${ifindex}`;
    ends.set(pair, (ends.get(pair) ?? 0) + 1);
  }
  const leadOut = own.filter(
    ({ ifname, linkinfo, link_netnsid: where }) =>
      linkinfo?.info_kind === 'veth' && where !== undefined && !named.has(ifname),
  );
  const unseen = leadOut.filter(({ ifindex, link_index: other }) => {
    const pair = `${ifindex} ${other}`;
    const count = ends.get(pair) ?? 0;
    ends.set(pair, count - 1);
    return count <= 0;
  });
  return unseen.map(({ ifname }) => ifname);
}

/** A path for each namespace but our own. */
async function otherNamespaces(): Promise<string[]> {
  const places = new Map<number, string>();
  const own = await numberOf('/proc/self/ns/net');
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const place = `/proc/${pid}/ns/net`;
    const text = await readlink(place).catch(() => ''); // it may have ended
    const number = Number(/\[(\d+)\]/.exec(text)?.[1]);
    if (number > 0 && !places.has(number)) places.set(number, place);
  }
  for (const folder of [...KEPT].reverse()) {
    for (const name of await readdir(folder).catch(() => [])) {
      const number = await numberOf(`${folder}/${name}`);
      if (number !== undefined) places.set(number, `${folder}/${name}`);
    }
  }
  if (own !== undefined) places.delete(own);
  return [...places.values()];
}

function isNamed(place: string): boolean {
  return place.startsWith(`${NAMED}/`);
}

/** undefined of a file that is none: one that was, or will be. */
async function numberOf(place: string): Promise<number | undefined> {
  try {
    return (await statfs(place)).type === NSFS_MAGIC ? (await stat(place)).ino : undefined;
  } catch {
    return undefined;
  }
}
