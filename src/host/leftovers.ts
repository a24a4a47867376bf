/**
 * What an earlier run with another network config left on this host: its devices keep addresses of the overlay that may be another
 * node's now, and its routes lead nowhere. What another process reads from is another network's and stays, as does what a crashed one
 * left.
 */
import { formatPrefix, type Prefix, parseAddress, prefixContains } from '../shared/address.ts';
import { type Exec, exec } from './exec.ts';
import { ADDRESSED_LINK, type AddressedLink, ipJson, type Link, ROUTE } from './ip-json.ts';
import { isOwnDevice } from './own-devices.ts';
import { prefixOf, ROUTE_PROTOCOL } from './routes.ts';

export interface LeftoverScope {
  /** devices that the present config uses */
  used: readonly string[];
  /** devices of earlier runs of this node, where that is known */
  known: readonly string[];
  /** of the present config */
  networks: readonly Prefix[];
  /** networks and subnets of the run before */
  previous: readonly Prefix[];
}

/** What was removed, one clause each. */
export async function removeLeftovers(scope: LeftoverScope, run: Exec = exec): Promise<string[]> {
  return [...(await removeDevices(scope, run)), ...(await removeRoutes(scope, run))];
}

async function removeDevices(scope: LeftoverScope, run: Exec): Promise<string[]> {
  const links = await ipJson(ADDRESSED_LINK, ['-d', 'addr', 'show'], run);
  const left = links.filter((link) => isLeftover(link, scope));
  for (const { ifname } of left) await run('ip', ['link', 'delete', 'dev', ifname]);
  return left.map(({ ifname }) => `device ${ifname}`);
}

function isLeftover(
  link: AddressedLink,
  { used, known, networks, previous }: LeftoverScope,
): boolean {
  if (!isOwnDevice(link) || used.includes(link.ifname) || hasReader(link)) return false;
  const ours = [...networks, ...previous];
  return known.includes(link.ifname) || link.addr_info.some(({ local }) => isInside(local, ours));
}

/** Whether a process has it open. A device with several queues says how many; one of another make shows it by its carrier. */
function hasReader({ linkinfo, flags }: Link): boolean {
  const queues = linkinfo?.info_data?.['numqueues'];
  return queues === undefined ? !flags.includes('NO-CARRIER') : Number(queues) > 0;
}

function isInside(address: string, prefixes: readonly Prefix[]): boolean {
  const words = parseAddress(address);
  return words !== undefined && prefixes.some((prefix) => prefixContains(prefix, words));
}

/** Routes inside the present networks are the route keeper's. */
async function removeRoutes({ networks, previous }: LeftoverScope, run: Exec): Promise<string[]> {
  const removed: string[] = [];
  for (const family of ['-4', '-6']) {
    const filter = ['table', 'main', 'proto', ROUTE_PROTOCOL];
    const routes = await ipJson(ROUTE, [family, 'route', 'show', ...filter], run);
    for (const route of routes) {
      const prefix = prefixOf(route);
      const holds = (range: Prefix): boolean => !!prefix && prefixContains(range, prefix.words);
      if (!prefix || networks.some(holds) || !previous.some(holds)) continue;
      const metric = route.metric ? ['metric', `${route.metric}`] : [];
      const kind = route.type === 'blackhole' ? ['blackhole'] : [];
      const one = [...kind, formatPrefix(prefix), 'proto', ROUTE_PROTOCOL, ...metric];
      await run('ip', [family, 'route', 'del', ...one]);
      removed.push(`route ${formatPrefix(prefix)}`);
    }
  }
  return removed;
}
