/** Which interface carries the underlay, and with which addresses (flannel pkg/ipmatch). */
import {
  familyOf,
  formatAddress,
  type Prefix,
  parseAddress,
  prefixContains,
  sameWords,
  type Words,
} from '../shared/address.ts';
import { EXIT, WeftError } from '../shared/errors.ts';
import { type Exec, exec } from './exec.ts';
import { ADDRESSED_LINK, type AddressedLink, ipJson, type LinkAddress, ROUTE } from './ip-json.ts';
import { hasOwnName } from './own-devices.ts';

export interface ExternalInterface {
  name: string;
  mtu: number;
  /** local addresses */
  address4?: Words;
  address6?: Words;
  /** what peers send to */
  public4?: Words;
  public6?: Words;
  /** why this one was chosen, for the log */
  reason: string;
}

export interface InterfaceWishes {
  /** --iface: names or addresses */
  interfaces: readonly string[];
  /** --iface-regex */
  patterns: readonly RegExp[];
  /** --iface-can-reach, or "" */
  canReach: string;
  publicIp: string;
  publicIpv6: string;
  wants4: boolean;
  wants6: boolean;
  /** subnets of this node's pods: an address inside is a bridge's, not the underlay's */
  podSubnets: readonly Prefix[];
}

/** All links with their addresses: what the choice is made of. */
export function lookAtLinks(run: Exec = exec): Promise<AddressedLink[]> {
  return ipJson(ADDRESSED_LINK, ['-d', 'addr', 'show'], run);
}

/**
 * Throws WeftError ERR_INTERFACE that lists what was tried and what exists, ERR_NO_ADDRESS when the interface has no address that can
 * be used: it may come by and by.
 */
export async function findExternalInterface(
  wishes: InterfaceWishes,
  links: readonly AddressedLink[],
  run: Exec = exec,
): Promise<ExternalInterface> {
  const published = publicAddresses(wishes);
  const candidates = links.map((link) => withUsableAddresses(link, wishes.podSubnets));
  const { link, reason, fixed } = await select(candidates, wishes, run);
  const whyNot = whyNoUnderlay(link);
  if (whyNot !== '') refuse(`interface ${link.ifname} (${reason}) can't carry it: ${whyNot}`);
  const address4 = fixed && familyOf(fixed) === 4 ? fixed : bestAddress(link, 'inet');
  const address6 = fixed && familyOf(fixed) === 6 ? fixed : bestAddress(link, 'inet6');
  if (wishes.wants4 && !address4) refuseAddress(link, 4);
  if (wishes.wants6 && !address6) refuseAddress(link, 6);
  return describe(link, reason, wishes, { address4, address6, ...published });
}

/**
 * The underlay that is in use, as it is now. Its addresses stay for as long as any interface has them, whatever other address or
 * interface would be chosen today: peers know them, and an address that floats between nodes must not draw the overlay after it.
 * undefined when one of them is gone.
 */
export function keepExternalInterface(
  inUse: ExternalInterface,
  wishes: InterfaceWishes,
  links: readonly AddressedLink[],
): ExternalInterface | undefined {
  const { address4, address6, reason } = inUse;
  const wanted: Words[] = [];
  if (wishes.wants4 && address4) wanted.push(address4);
  if (wishes.wants6 && address6) wanted.push(address6);
  const link = links
    .filter((each) => whyNoUnderlay(each) === '')
    .find(({ addr_info }) =>
      wanted.every((a) => addr_info.some((has) => isAddress(has, a) && !isLeaving(has))),
    );
  return link && describe(link, reason, wishes, { address4, address6, ...publicAddresses(wishes) });
}

interface Addresses {
  address4?: Words | undefined;
  address6?: Words | undefined;
  /** where flags name them, else the local ones are published */
  public4?: Words | undefined;
  public6?: Words | undefined;
}

/** Addresses of families that are not wanted are left out: what happens to them is no change of the underlay. */
function describe(
  { ifname: name, mtu }: AddressedLink,
  reason: string,
  { wants4, wants6 }: InterfaceWishes,
  { address4, address6, public4 = address4, public6 = address6 }: Addresses,
): ExternalInterface {
  return {
    name,
    mtu,
    reason,
    ...(wants4 && address4 && { address4 }),
    ...(wants6 && address6 && { address6 }),
    ...(wants4 && public4 && { public4 }),
    ...(wants6 && public6 && { public6 }),
  };
}

function publicAddresses({ publicIp, publicIpv6 }: InterfaceWishes): Addresses {
  return {
    public4: publicAddress('public-ip', publicIp, 4),
    public6: publicAddress('public-ipv6', publicIpv6, 6),
  };
}

// ---- what can't be the underlay ----

/** Why no address of this link can carry the underlay, '' if one can. */
function whyNoUnderlay(link: AddressedLink): string {
  if (hasOwnName(link)) return 'it is a device of the overlay itself';
  return link.mtu === 0 ? 'its MTU is 0' : '';
}

/** The network takes it back, or another node has it. */
function isLeaving({ deprecated, dadfailed }: LinkAddress): boolean {
  return deprecated === true || dadfailed === true;
}

/** Left out: what only this host knows, what is not ready or on its way out, bridges of pods, and IPv6 addresses of one link only. */
function withUsableAddresses(link: AddressedLink, podSubnets: readonly Prefix[]): AddressedLink {
  const isUsable = (a: LinkAddress): boolean => {
    if (a.scope === 'host' || a.tentative || isLeaving(a)) return false;
    if (a.family === 'inet6' && a.scope === 'link') return false;
    const words = parseAddress(a.local);
    return words !== undefined && !podSubnets.some((subnet) => prefixContains(subnet, words));
  };
  return { ...link, addr_info: link.addr_info.filter(isUsable) };
}

function refuse(message: string): never {
  throw new WeftError(
    'ERR_INTERFACE',
    EXIT.failure,
    `underlay: ${message}; choose one with --iface`,
  );
}

function refuseAddress({ ifname }: AddressedLink, family: 4 | 6): never {
  const usable = family === 4 ? '' : ' (one that begins with fe80 is of no use to peers)';
  throw new WeftError(
    'ERR_NO_ADDRESS',
    EXIT.failure,
    `underlay: interface ${ifname} has no IPv${family} address${usable}; give it one, or choose another with --iface`,
  );
}

// ---- the choice ----

function publicAddress(flag: string, text: string, family: 4 | 6): Words | undefined {
  if (text === '') return undefined;
  const words = parseAddress(text);
  if (words && familyOf(words) === family) return words;
  throw new WeftError('ERR_USAGE', EXIT.usage, `--${flag} ${text}: not an IPv${family} address`);
}

interface Choice {
  link: AddressedLink;
  reason: string;
  /** the local address that the choice itself names */
  fixed?: Words;
}

/** In flannel's order: each --iface, each --iface-regex, --iface-can-reach; without any of them the public address, then the default route. */
async function select(
  links: readonly AddressedLink[],
  wishes: InterfaceWishes,
  run: Exec,
): Promise<Choice> {
  const { interfaces, patterns, canReach } = wishes;
  const asked = [...interfaces, ...patterns.map(String), ...(canReach ? [canReach] : [])];
  const selectors = asked.length > 0 ? interfaces : [wishes.publicIp || wishes.publicIpv6];
  for (const selector of selectors.filter(Boolean)) {
    const choice = matchSelector(links, selector, asked.length > 0 ? '--iface' : '--public-ip');
    if (choice && asked.length === 0) checkSecondAddress(links, choice, wishes);
    if (choice) return choice;
  }
  for (const pattern of patterns) {
    const choice = matchPattern(links, pattern, wishes);
    if (choice) return choice;
  }
  if (canReach) {
    const choice = await matchRoute(links, ['get', canReach], `reaches ${canReach}`, run);
    if (choice) return choice;
  }
  const tried = asked.length > 0 ? asked : selectors.filter(Boolean);
  if (tried.length > 0) {
    const names = links.map((link) => link.ifname).join(', ');
    refuse(`no interface matches ${tried.join(', ')} (there are ${names})`);
  }
  return matchDefaultRoutes(links, wishes, run);
}

/** Chosen by --public-ip, a dual-stack node must have --public-ipv6 on the same interface. */
function checkSecondAddress(
  links: readonly AddressedLink[],
  choice: Choice,
  wishes: InterfaceWishes,
): void {
  if (!wishes.publicIp || !wishes.publicIpv6) return;
  const second = matchSelector(links, wishes.publicIpv6, '--public-ip');
  if (second?.link === choice.link) return;
  const where = second ? `on ${second.link.ifname}` : 'on no interface';
  refuse(`${wishes.publicIp} is on ${choice.link.ifname}, but ${wishes.publicIpv6} ${where}`);
}

/** A dual-stack node has both default routes on one interface, as in flannel: peers see one node, not two. */
async function matchDefaultRoutes(
  links: readonly AddressedLink[],
  { wants4, wants6 }: InterfaceWishes,
  run: Exec,
): Promise<Choice> {
  const families = [...(wants4 ? ['-4' as const] : []), ...(wants6 ? ['-6' as const] : [])];
  const found: AddressedLink[] = [];
  for (const family of families) {
    const route = ['show', 'default'];
    const choice = await matchRoute(links, route, '', run, family);
    if (!choice) refuse(`there is no IPv${family[1]} default route with an interface`);
    found.push(choice.link);
  }
  const [first, second = first] = found;
  if (!first || first.ifname !== second?.ifname)
    refuse(
      `the default routes of IPv4 and IPv6 leave through ${first?.ifname} and ${second?.ifname}`,
    );
  return { link: first, reason: 'has the default route' };
}

/** An interface's name, or an address it has. */
function matchSelector(
  links: readonly AddressedLink[],
  selector: string,
  option: '--iface' | '--public-ip',
): Choice | undefined {
  const reason = `matches ${option} ${selector}`;
  const wanted = parseAddress(selector);
  if (!wanted) {
    const link = links.find((candidate) => candidate.ifname === selector);
    return link && { link, reason };
  }
  const link = links.find((candidate) => candidate.addr_info.some((a) => isAddress(a, wanted)));
  return link && { link, reason, fixed: wanted };
}

function isAddress(address: LinkAddress, wanted: Words): boolean {
  const words = parseAddress(address.local);
  return words !== undefined && sameWords(words, wanted);
}

/** Addresses first (one of each family that is wanted, on one interface), then names. */
function matchPattern(
  links: readonly AddressedLink[],
  pattern: RegExp,
  wishes: InterfaceWishes,
): Choice | undefined {
  const reason = `matches --iface-regex ${pattern}`;
  const families = [...(wishes.wants4 ? ['inet'] : []), ...(wishes.wants6 ? ['inet6'] : [])];
  const hits = (link: AddressedLink, family: string): LinkAddress | undefined =>
    link.addr_info.find((a) => a.family === family && pattern.test(a.local));
  const byAddress = links.find((link) => families.every((family) => hits(link, family)));
  if (byAddress) {
    const fixed = parseAddress(hits(byAddress, families[0] as string)?.local ?? '');
    return fixed ? { link: byAddress, reason, fixed } : { link: byAddress, reason };
  }
  const byName = links.find((link) => pattern.test(link.ifname));
  return byName && { link: byName, reason };
}

/** The interface and source address of the first route that `ip route` prints. */
async function matchRoute(
  links: readonly AddressedLink[],
  route: readonly string[],
  reason: string,
  run: Exec,
  family?: '-4' | '-6',
): Promise<Choice | undefined> {
  const args = [...(family ? [family] : []), 'route', ...route];
  const routes = await ipJson(ROUTE, args, run);
  const found = routes.find((candidate) => candidate.dev);
  const link = links.find((candidate) => candidate.ifname === found?.dev);
  const source = parseAddress(found?.prefsrc ?? '');
  const fixed = source && link?.addr_info.some((a) => isAddress(a, source)) && source;
  return link && (fixed ? { link, reason, fixed } : { link, reason });
}

/** Global before link-local, permanent before dynamic, plain before temporary. */
function bestAddress(link: AddressedLink, family: string): Words | undefined {
  const rank = (a: LinkAddress): number =>
    (isLinkLocal(a) ? 4 : 0) + (a.dynamic ? 2 : 0) + (a.temporary ? 1 : 0);
  const usable = link.addr_info.filter((a) => a.family === family);
  const best = usable.sort((a, b) => rank(a) - rank(b))[0];
  return best && parseAddress(best.local);
}

/** What people call an address that a machine gave itself while it had no other (169.254.0.0/16), often with scope global. */
function isLinkLocal({ scope, local }: LinkAddress): boolean {
  return scope !== 'global' || local.startsWith('169.254.');
}

/** Name, addresses and MTU, for people. */
export function describeInterface({ name, mtu, address4, address6 }: ExternalInterface): string {
  const addresses = [address4, address6].flatMap((a) => (a ? formatAddress(a) : []));
  return `${name} ${addresses.join(' and ')}, MTU ${mtu}`;
}

/** Whether the addresses in use are ones that a machine gives itself when it gets no other. */
export function isSelfAssigned({ address4 }: ExternalInterface): boolean {
  return address4 !== undefined && formatAddress(address4).startsWith('169.254.');
}

/** Whether nothing changed that peers or devices depend on. */
export function sameInterface(a: ExternalInterface, b: ExternalInterface): boolean {
  const same = (x: Words | undefined, y: Words | undefined): boolean =>
    x === y || (!!x && !!y && sameWords(x, y));
  return (
    a.name === b.name &&
    a.mtu === b.mtu &&
    same(a.address4, b.address4) &&
    same(a.address6, b.address6) &&
    same(a.public4, b.public4) &&
    same(a.public6, b.public6)
  );
}
