/** Which interface carries the underlay, and with which addresses (flannel pkg/ipmatch). */
import { familyOf, parseAddress, sameWords, type Words } from '../shared/address.ts';
import { EXIT, WeftError } from '../shared/errors.ts';
import { type Exec, exec } from './exec.ts';
import { ADDRESSED_LINK, type AddressedLink, ipJson, type LinkAddress, ROUTE } from './ip-json.ts';

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
}

/** Throws WeftError ERR_INTERFACE that lists what was tried and what exists. */
export async function findExternalInterface(
  wishes: InterfaceWishes,
  run: Exec = exec,
): Promise<ExternalInterface> {
  const links = await ipJson(ADDRESSED_LINK, ['addr', 'show'], run);
  const public4 = publicAddress('public-ip', wishes.publicIp, 4);
  const public6 = publicAddress('public-ipv6', wishes.publicIpv6, 6);
  const { link, reason, fixed } = await select(links, wishes, run);
  const found: ExternalInterface = { name: link.ifname, mtu: link.mtu, reason };
  const address4 = fixed && familyOf(fixed) === 4 ? fixed : bestAddress(link, 'inet');
  const address6 = fixed && familyOf(fixed) === 6 ? fixed : bestAddress(link, 'inet6');
  if (address4) found.address4 = address4;
  if (address6) found.address6 = address6;
  if (link.mtu === 0) refuse(`interface ${link.ifname} has MTU 0`);
  if ((wishes.wants4 && !address4) || (wishes.wants6 && !address6)) {
    refuse(`interface ${link.ifname} has no IPv${wishes.wants4 && !address4 ? 4 : 6} address`);
  }
  const out4 = public4 ?? address4;
  const out6 = public6 ?? address6;
  if (wishes.wants4 && out4) found.public4 = out4;
  if (wishes.wants6 && out6) found.public6 = out6;
  return found;
}

function refuse(message: string): never {
  throw new WeftError(
    'ERR_INTERFACE',
    EXIT.failure,
    `underlay: ${message}; choose one with --iface`,
  );
}

function publicAddress(flag: string, text: string, family: 4 | 6): Words | undefined {
  if (text === '') return undefined;
  const words = parseAddress(text);
  if (words && familyOf(words) === family) return words;
  throw new WeftError('ERR_USAGE', EXIT.usage, `--${flag} ${text}: no IPv${family} address`);
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
    const choice = matchSelector(links, selector);
    if (choice && asked.length === 0) checkSecondAddress(links, choice, wishes);
    if (choice) return choice;
  }
  for (const pattern of patterns) {
    const choice = matchPattern(links, pattern, wishes);
    if (choice) return choice;
  }
  if (canReach) {
    const choice = await matchRoute(links, ['get', canReach], `it reaches ${canReach}`, run);
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
  const second = matchSelector(links, wishes.publicIpv6);
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
  return { link: first, reason: 'it has the default route' };
}

/** An interface's name, or an address it has. */
function matchSelector(links: readonly AddressedLink[], selector: string): Choice | undefined {
  const reason = `it matches "${selector}"`;
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
  const reason = `it matches ${pattern}`;
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
  const fixed = parseAddress(found?.prefsrc ?? '');
  return link && (fixed ? { link, reason, fixed } : { link, reason });
}

/** Global before link-local, permanent before dynamic, plain before temporary; deprecated ones never. */
function bestAddress(link: AddressedLink, family: string): Words | undefined {
  const rank = (a: LinkAddress): number =>
    (a.scope === 'global' ? 0 : 4) + (a.dynamic ? 2 : 0) + (a.temporary ? 1 : 0);
  const usable = link.addr_info.filter((a) => a.family === family && !a.deprecated);
  const best = usable.sort((a, b) => rank(a) - rank(b))[0];
  return best && parseAddress(best.local);
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
