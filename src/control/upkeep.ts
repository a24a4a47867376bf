/**
 * What others do to the host while the daemon runs: the underlay's address or MTU, devices, routes. Looked at when the kernel announces
 * a change, and now and then besides. Each step of a look stands alone: what one can't put right keeps no other from its work.
 */
import type { Peer } from '../cluster/peers.ts';
import {
  describeInterface,
  type ExternalInterface,
  sameInterface,
} from '../host/external-interface.ts';
import type { AddressedLink } from '../host/ip-json.ts';
import type { News } from '../host/kernel-news.ts';
import { ROUTE_PROTOCOL, type RouteKeeper } from '../host/routes.ts';
import { describeShadow, shadowsOf } from '../host/shadowed-routes.ts';
import type { Prefix } from '../shared/address.ts';
import type { Clock, Timer } from '../shared/clock.ts';
import { messageOf } from '../shared/errors.ts';
import { type PlainLog, rarely } from '../shared/repeats.ts';
import type { Backend } from './backend/backend.ts';
import type { FollowedInterface } from './host-parts.ts';
import type { Log } from './log/log.ts';
import { GAP_MS_MAX, Pacer } from './pacer.ts';
import type { Turn } from './turn.ts';

/** How often the host is compared with what should be there, where changes are not announced or the last look found what it can't mend. */
const PERIOD_MS = GAP_MS_MAX;
/** And where they are: news can be missing in a way nobody thought of. Each look starts three programs. */
const QUIET_MS_MAX = 30_000;
/** As many are named; the rest is a number. */
const SHADOWS_MAX = 3;
/** The kernel's number of the table in which plain routes are (linux/rtnetlink.h RT_TABLE_MAIN). */
const MAIN_TABLE = 254;

export interface UpkeepContext {
  backend: Pick<Backend, 'heal' | 'learnAddresses' | 'move' | 'status'>;
  routes: Pick<RouteKeeper, 'sync' | 'problem' | 'foreign' | 'bitsTo'>;
  /** who is reached through the overlay now */
  peers: () => readonly Peer[];
  /** this node's own subnets */
  podSubnets: readonly Prefix[];
  /** the underlay as the start found it */
  external: ExternalInterface;
  /** all links of the host, with their addresses */
  lookAtLinks: () => Promise<readonly AddressedLink[]>;
  /** what comes right without an announcement, '' if nothing */
  awaits: () => string;
  /** the underlay as it is now */
  follow: (inUse: ExternalInterface, links: readonly AddressedLink[]) => Promise<FollowedInterface>;
  /** Lets the cluster and CNI plugins know of a new address or MTU, `what` in words. Called even when the backend could not follow. */
  announce: (what: string) => Promise<void>;
  log: Log;
  clock: Clock;
}

export class Upkeep {
  /** the underlay that is in use */
  external: ExternalInterface;
  /** another interface would be the underlay now, '' if not */
  underlayMoved = '';
  /** which peers' packets somebody else's routes take, '' if none */
  shadowed = '';
  private readonly context: UpkeepContext;
  private readonly rare: PlainLog;
  private readonly turn: Turn;
  /** the look that was asked for last, which begins when those before it are over */
  private last: Promise<void> = Promise.resolve();
  private isStopped = false;
  /** news of our own things, and of those that may matter: a host on which the latter never end must not delay the former */
  private readonly ours: Pacer;
  private readonly others: Pacer;
  /** why a step failed at the last look, by step */
  private readonly failures = new Map<string, string>();
  /** numbers of our devices and of the underlay's; before the first look all links may be ours */
  private devices: ReadonlySet<number> | undefined;
  private timer: Timer | undefined;
  private hearsAll = false;
  /** when the last look began */
  private lookedAtMs = Number.NEGATIVE_INFINITY;

  /** What a look puts right takes its turn with other work on the backend, step by step: changes of peers don't wait for a whole look. */
  constructor(context: UpkeepContext, turn: Turn) {
    const { external, log, clock } = context;
    this.context = context;
    this.external = external;
    this.turn = turn;
    this.rare = rarely(log, clock);
    this.ours = new Pacer(clock, () => this.lookNext());
    this.others = new Pacer(clock, () => this.lookNext());
  }

  /** The first look, by which it learns what news to heed; and then again and again. `hearsAll`: the kernel's news reach {@link hear}. */
  start(hearsAll: boolean): void {
    this.hearsAll = hearsAll;
    void this.lookNext();
    this.timer = this.context.clock.every(PERIOD_MS, () => {
      if (this.isDue()) void this.lookNext();
    });
  }

  private isDue(): boolean {
    const { routes, clock, awaits } = this.context;
    const troubles = [this.problem, routes.problem, this.shadowed, this.underlayMoved, awaits()];
    const isFine = this.hearsAll && troubles.every((trouble) => trouble === '');
    return !isFine || clock.monotonicMs() - this.lookedAtMs >= QUIET_MS_MAX;
  }

  stop(): void {
    this.isStopped = true;
    this.timer?.stop();
    this.ours.stop();
    this.others.stop();
  }

  /** Why the host could not be put right at the last look, '' if it could. */
  get problem(): string {
    return [...this.failures.values()].join('; ');
  }

  /** What the kernel announces: a look follows when it concerns us. */
  hear(news: readonly News[]): void {
    if (news.some((each) => this.isOurs(each))) this.ours.hear();
    else if (news.some(mayMatter)) this.others.hear();
  }

  private isOurs({ about, gone, device, protocol }: News): boolean {
    if (about === 'route') return gone && protocol === Number(ROUTE_PROTOCOL);
    return (about === 'link' || about === 'address') && (this.devices?.has(device) ?? true);
  }

  private lookNext(): Promise<void> {
    this.last = this.last.then(() => this.look());
    return this.last;
  }

  /** One look, and what it finds is put right. */
  private async look(): Promise<void> {
    const { backend, routes, log, clock } = this.context;
    this.lookedAtMs = clock.monotonicMs();
    // What is gone is put back before anything is asked that can wait.
    const healed = await this.step('devices', () => backend.heal());
    const routed = await this.step('routes', () => routes.sync());
    const done = [healed, routed].filter(Boolean).join('; ');
    if (done !== '') {
      log.warn(`the host was not as it should be; ${done}`);
      // A device made anew has a number that no news were heeded by until now.
      this.ours.hear();
    }
    if (routes.problem !== '') this.rare.error(routes.problem);
    const links = await this.try('links', () => this.context.lookAtLinks());
    if (!links || this.isStopped) return;
    this.devices = this.devicesAmong(links);
    backend.learnAddresses?.(links);
    this.lookForShadows(links);
    await this.step('the underlay', () => this.lookAtUnderlay(links));
  }

  /** Undefined where it failed, or where its turn does not come any more. */
  private async step<T>(name: string, work: () => Promise<T>): Promise<T | undefined> {
    let result: T | undefined;
    await this.turn.take(async () => {
      result = await this.try(name, work);
    });
    return result;
  }

  private async try<T>(name: string, work: () => Promise<T>): Promise<T | undefined> {
    try {
      const result = await work();
      this.failures.delete(name);
      return result;
    } catch (error) {
      this.failures.set(name, messageOf(error));
      this.rare.error(`upkeep of ${name}: ${messageOf(error)}`);
      return undefined;
    }
  }

  /** A new address or MTU is followed; another interface is not: a VPN that takes the default route must not take the overlay. */
  private async lookAtUnderlay(links: readonly AddressedLink[]): Promise<void> {
    const { external, context } = this;
    const { now, preferred } = await context.follow(external, links);
    this.underlayMoved =
      preferred === undefined
        ? ''
        : `${preferred.name} would be the underlay now (${preferred.reason}); staying on ${external.name}, restart weftd to move`;
    if (this.underlayMoved !== '') this.rare.warn(this.underlayMoved);
    if (!sameInterface(now, external)) await this.move(now);
  }

  private lookForShadows(links: readonly AddressedLink[]): void {
    const { routes, peers, podSubnets } = this.context;
    const shadows = shadowsOf(routes, peers(), podSubnets);
    const more = shadows.length > SHADOWS_MAX ? `; and ${shadows.length - SHADOWS_MAX} more` : '';
    const named = shadows.slice(0, SHADOWS_MAX).map((shadow) => describeShadow(shadow, links));
    this.shadowed = named.join('; ') + more;
    if (this.shadowed !== '') this.rare.warn(this.shadowed);
  }

  private devicesAmong(links: readonly AddressedLink[]): ReadonlySet<number> {
    const own = this.context.backend.status().devices.map(({ device }) => device);
    const names = new Set([...own, this.external.name]);
    return new Set(links.filter(({ ifname }) => names.has(ifname)).map(({ ifindex }) => ifindex));
  }

  private async move(external: ExternalInterface): Promise<void> {
    const { backend, announce, log } = this.context;
    const [before, after] = [this.external, external].map(describeInterface);
    const what = `the underlay changed from ${before} to ${after}`;
    log.warn(`${what}; following`);
    this.external = external;
    try {
      await backend.move(external);
    } finally {
      // The new address is announced even if the move must be tried again.
      await announce(what);
    }
  }
}

/** Addresses and rules of anybody may become or end the underlay; a route may lie in front of ours. Links without either can't. */
function mayMatter({ about, table, protocol }: News): boolean {
  if (about === 'route') return table === MAIN_TABLE && protocol !== Number(ROUTE_PROTOCOL);
  return about === 'address' || about === 'rule' || about === 'lost';
}
