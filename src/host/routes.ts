/**
 * The daemon's routes in the main table: marked by a protocol number, put back when they vanish, removed when nobody wants them any
 * more, also those that an earlier run left. Routes outside this daemon's networks belong to another one and are not touched.
 */
import {
  familyOf,
  formatAddress,
  formatPrefix,
  holdsPrefix,
  type Prefix,
  parsePrefix,
  type Words,
} from '../shared/address.ts';
import { getOrMake } from '../shared/memo.ts';
import { printable, SAID_CHARACTERS_MAX } from '../shared/printable.ts';
import { type Exec, exec, saidWith } from './exec.ts';
import { type IpRoute, ipJson, ROUTE } from './ip-json.ts';

/** Route protocol number that marks our routes in `ip route`. */
export const ROUTE_PROTOCOL = '86';

/** Metric of what stays when the daemon has ended: a route of whoever comes next to the same subnet is better. */
export const YIELDING_METRIC = 4_294_967_294;

/** Of a blackhole: the bridge of the pods has a route of its own to the whole subnet, which must win whichever comes first. */
const BLACKHOLE_METRIC = YIELDING_METRIC - 1;

/** Through a device, a gateway, or both; none of them is a blackhole. */
export interface Route {
  prefix: Prefix;
  device?: string;
  gateway?: Words;
  source?: Words;
  /** key of the node that it leads to, for messages */
  peer?: string;
}

/** A line for `ip -batch`, with the route that it sets. */
interface Command {
  text: string;
  route?: Route;
}

/** Of as many failures at most; the rest is a number. */
const PROBLEMS_MAX = 3;

export class RouteKeeper {
  /** routes inside our networks that somebody else made, as of the last sync */
  foreign: readonly IpRoute[] = [];
  private readonly networks: readonly Prefix[];
  private readonly families: readonly (4 | 6)[];
  private readonly run: Exec;
  /** what each part of the daemon wants, by {@link identityOf} */
  private readonly wanted = new Map<string, Map<string, Route>>();
  /** since the last sync: what is wanted no more, and what is wanted now */
  private readonly gone = new Map<string, Route>();
  private readonly come = new Map<string, Route>();
  /** what `ip` refused, by identity, and what it said besides */
  private readonly refused = new Map<string, string>();
  private failure = '';

  /** `networks` of the overlay: only routes inside are ours. */
  constructor(networks: readonly Prefix[], families: readonly (4 | 6)[], run: Exec = exec) {
    this.networks = networks;
    this.families = families;
    this.run = run;
  }

  /** What `ip` refuses, '' if nothing: a peer's address may not be reachable now. */
  get problem(): string {
    const texts = [...this.refused.values()];
    const named = [this.failure, ...texts.slice(0, PROBLEMS_MAX)].filter(Boolean).join('; ');
    const more = texts.length - PROBLEMS_MAX;
    return more > 0 ? `${named}; and ${more} more` : named;
  }

  /** Replaces what one part of the daemon wants; takes effect with {@link sync}. */
  set(owner: string, routes: readonly Route[]): void {
    this.wanted.set(owner, new Map(routes.map((route) => [identityOf(route), route])));
  }

  /** One route less and one more of what a part wants; takes effect with {@link syncChanges} or {@link sync}. */
  change(owner: string, before: Route | undefined, after: Route | undefined): void {
    const routes = getOrMake(this.wanted, owner, (): Map<string, Route> => new Map());
    const id = after && identityOf(after);
    const idBefore = before && identityOf(before);
    if (before && idBefore !== undefined && idBefore !== id) {
      routes.delete(idBefore);
      this.refused.delete(idBefore);
      if (!this.come.delete(idBefore)) this.gone.set(idBefore, before);
    }
    if (!after || id === undefined) return;
    routes.set(id, after);
    if (!this.gone.delete(id) && idBefore !== id) this.come.set(id, after);
  }

  /** Makes the table as wanted. Returns what was done, one clause per family, '' if nothing was to do or see {@link problem}. */
  async sync(): Promise<string> {
    const done: string[] = [];
    this.refused.clear();
    this.failure = '';
    this.gone.clear();
    this.come.clear();
    this.foreign = [];
    for (const family of this.families) {
      const text = await this.syncFamily(family);
      if (text !== '') done.push(text);
    }
    return done.join('; ');
  }

  /** Carries out what {@link change} asked for since the last sync, without a look at the table. */
  async syncChanges(): Promise<void> {
    const [gone, come] = [[...this.gone.values()], [...this.come.values()]];
    this.gone.clear();
    this.come.clear();
    for (const family of this.families) {
      const [less, more] = [gone, come].map((all) => all.filter((route) => isOf(family, route)));
      await this.carryOut(family, [
        ...(less ?? []).map((route): Command => ({ text: plainRemoval(route) })),
        ...(more ?? []).map((route): Command => ({ text: addition(route), route })),
      ]);
    }
  }

  /** Length of our most special route to a subnet; undefined where there is none. */
  readonly bitsTo = (subnet: Prefix): number | undefined => {
    const routes = this.allWanted();
    const lengths = routes.flatMap(({ prefix }) =>
      holdsPrefix(prefix, subnet) ? prefix.bits : [],
    );
    return lengths.length === 0 ? undefined : Math.max(...lengths);
  };

  private allWanted(): Route[] {
    return [...this.wanted.values()].flatMap((routes) => [...routes.values()]);
  }

  private async syncFamily(family: 4 | 6): Promise<string> {
    const inside = await this.routesInside(family);
    const ours = inside.filter((route) => isOwn(route) && !isYielding(route));
    const yielding = inside.filter((route) => isOwn(route) && isYielding(route));
    this.foreign = [...this.foreign, ...inside.filter((route) => !isOwn(route))];
    const wanted = this.allWanted().filter((route) => isOf(family, route));
    const have = new Set(ours.map(identityOfJson));
    const want = new Map(wanted.map((route) => [identityOf(route), route]));
    const surplus = ours.filter((route) => !want.has(identityOfJson(route)));
    const missing = [...want].filter(([id]) => !have.has(id)).map(([, route]) => route);
    if (surplus.length === 0 && missing.length === 0 && yielding.length === 0) return '';
    // What an earlier run left goes last: packets must not leave elsewhere in between.
    const isDone = await this.carryOut(family, [
      ...surplus.map((route): Command => ({ text: removal(route) })),
      ...missing.map((route): Command => ({ text: addition(route), route })),
      ...yielding.map((route): Command => ({ text: removal(route) })),
    ]);
    if (!isDone) return '';
    return `IPv${family} routes: ${missing.length} set, ${surplus.length + yielding.length} removed`;
  }

  /** Whether nothing was refused; with -force the others are carried out all the same. */
  private async carryOut(family: 4 | 6, commands: readonly Command[]): Promise<boolean> {
    if (commands.length === 0) return true;
    const args = [`-${family}`, '-force', '-batch', '-'];
    try {
      await this.run('ip', args, `${commands.map(({ text }) => text).join('\n')}\n`);
      return true;
    } catch (error) {
      for (const { line, why } of refusals(saidWith(error))) {
        const route = commands[line - 1]?.route;
        if (route) this.refused.set(identityOf(route), whatFailed(route, why));
        else this.failure = `routes: ${why}`;
      }
      return false;
    }
  }

  /**
   * The daemon ends: its routes stay as the last resort, so that packets for the overlay leave nowhere else and nothing is in the way of
   * a successor. What leads through `devices`, which end with the daemon, leads nowhere from then on.
   */
  async yield(devices: readonly string[]): Promise<void> {
    const wanted = this.allWanted();
    const endsWithUs = ({ device }: Route): boolean => !!device && devices.includes(device);
    for (const family of this.families) {
      const routes = wanted.filter((route) => isOf(family, route));
      if (routes.length === 0) continue;
      const stay = routes.map((route) => (endsWithUs(route) ? { prefix: route.prefix } : route));
      const replaced = routes.filter((route) => !endsWithUs(route));
      const commands = [
        ...stay.map((route) => addition(route, YIELDING_METRIC)),
        ...replaced.map(plainRemoval),
      ];
      const args = [`-${family}`, '-force', '-batch', '-'];
      await this.run('ip', args, `${commands.join('\n')}\n`).catch((error) => {
        if (refusals(saidWith(error)).length > 0) throw error;
      });
    }
  }

  private async routesInside(family: 4 | 6): Promise<IpRoute[]> {
    const networks = this.networks.filter(({ words }) => familyOf(words) === family);
    const found: IpRoute[] = [];
    for (const network of networks) {
      const args = ['route', 'show', 'table', 'main', 'root', formatPrefix(network)];
      found.push(...(await ipJson(ROUTE, [`-${family}`, ...args], this.run)));
    }
    return found;
  }
}

function isYielding({ metric }: IpRoute): boolean {
  return metric === YIELDING_METRIC;
}

function isOwn({ protocol }: IpRoute): boolean {
  return protocol === ROUTE_PROTOCOL;
}

/** What `ip -force -batch` refused, by line of its input. A route that is gone already is as we want it, and so is one that is there. */
function refusals(message: string): { line: number; why: string }[] {
  const found: { line: number; why: string }[] = [];
  let why = '';
  for (const text of message.split('\n')) {
    const line = /^Command failed -:(\d+)/.exec(text)?.[1];
    if (line === undefined) why = text.replace(/^.*(RTNETLINK answers|Error):\s*/, '') || why;
    else if (!/No such process|File exists/.test(why)) found.push({ line: Number(line), why });
  }
  return found.length > 0 || /Command failed -:/.test(message)
    ? found
    : [{ line: 0, why: printable(message, SAID_CHARACTERS_MAX) }];
}

/** Every word that is needed to find it: the subnet, its node, the way there, and what helps. */
function whatFailed(route: Route, why: string): string {
  const { prefix, gateway, device, peer } = route;
  const way = [gateway && `via ${formatAddress(gateway)}`, device && `dev ${device}`];
  const node = peer === undefined ? '' : ` (node ${peer})`;
  const text = `no route to ${formatPrefix(prefix)}${node} ${way.filter(Boolean).join(' ')}: ${why}`;
  if (!gateway) return text;
  return `${text}; ${formatAddress(gateway)} must be on the link of ${device ?? 'the underlay'}: use vxlan, or its DirectRouting, for nodes behind a router`;
}

function isOf(family: 4 | 6, route: Route): boolean {
  return (route.prefix.bits >= 96 && !formatPrefix(route.prefix).includes(':')) === (family === 4);
}

/** `ip` leaves the length out of host routes. */
export function prefixOf(route: IpRoute): Prefix | undefined {
  const { dst } = route;
  return parsePrefix(dst.includes('/') ? dst : `${dst}/${dst.includes(':') ? 128 : 32}`);
}

function identityOf({ prefix, device, gateway }: Route): string {
  if (!device && !gateway) return `blackhole ${formatPrefix(prefix)}`;
  return `${formatPrefix(prefix)} ${gateway ? formatAddress(gateway) : '-'} ${device ?? '-'}`;
}

function identityOfJson(route: IpRoute): string {
  const prefix = prefixOf(route);
  const text = prefix ? formatPrefix(prefix) : route.dst;
  if (route.type === 'blackhole')
    return route.metric === BLACKHOLE_METRIC ? `blackhole ${text}` : `strong blackhole ${text}`;
  return `${text} ${route.gateway ?? '-'} ${route.dev ?? '-'}`;
}

/** Without a metric it has the usual one of its kind. */
function addition({ prefix, device, gateway, source }: Route, metric?: number): string {
  const blackhole = `route replace blackhole ${formatPrefix(prefix)} proto ${ROUTE_PROTOCOL}`;
  if (!device && !gateway) return `${blackhole} metric ${metric ?? BLACKHOLE_METRIC}`;
  const via = gateway ? ` via ${formatAddress(gateway)}` : '';
  const through = device ? ` dev ${device}` : '';
  const from = source ? ` src ${formatAddress(source)}` : '';
  const last = metric === undefined ? '' : ` metric ${metric}`;
  return `route replace ${formatPrefix(prefix)}${via}${through} proto ${ROUTE_PROTOCOL}${from}${last}`;
}

function removal(route: IpRoute): string {
  const kind = route.type === 'blackhole' ? 'blackhole ' : '';
  const via = route.gateway ? ` via ${route.gateway}` : '';
  const through = route.dev && kind === '' ? ` dev ${route.dev}` : '';
  const metric = route.metric ? ` metric ${route.metric}` : '';
  return `route del ${kind}${route.dst}${via}${through} proto ${ROUTE_PROTOCOL}${metric}`;
}

/** Of the one with the usual metric: without a metric the best route goes. */
function plainRemoval({ prefix, device, gateway }: Route): string {
  return removal({
    dst: formatPrefix(prefix),
    ...(device && { dev: device }),
    ...(gateway && { gateway: formatAddress(gateway) }),
    ...(!device && !gateway && { type: 'blackhole', metric: BLACKHOLE_METRIC }),
  });
}
