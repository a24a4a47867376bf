/** What the daemon asks of the machine that it runs on; a test gives it one that is made up. */
import type { NetworkConfig } from '../cluster/network-config.ts';
import { removeBridge } from '../host/cni-bridge.ts';
import {
  describeInterface,
  type ExternalInterface,
  findExternalInterface,
  type InterfaceWishes,
  isSelfAssigned,
  keepExternalInterface,
  lookAtLinks,
} from '../host/external-interface.ts';
import { forwardingProblem } from '../host/forwarding.ts';
import type { AddressedLink } from '../host/ip-json.ts';
import { KernelNews, type News } from '../host/kernel-news.ts';
import { type LeftoverScope, removeLeftovers } from '../host/leftovers.ts';
import { checkPermission } from '../host/preflight.ts';
import { RouteKeeper } from '../host/routes.ts';
import type { Addon } from '../memory/addon.ts';
import type { Settings } from '../options/settings.ts';
import type { Prefix } from '../shared/address.ts';
import { EXIT, WeftError } from '../shared/errors.ts';
import type { Backend, BackendContext } from './backend/backend.ts';
import { familiesOf } from './backend/backend.ts';
import { createBackend } from './backend/create.ts';
import { harden } from './hardening.ts';
import { startRules } from './rules.ts';

/** Where the underlay is looked for. */
export interface UnderlayScope {
  settings: Settings;
  config: NetworkConfig;
  /** of this node's pods: no underlay address lies in them */
  podSubnets: readonly Prefix[];
}

export interface FollowedInterface {
  /** the one in use, as it is now */
  now: ExternalInterface;
  /** the one that a start would choose, where that is another */
  preferred?: ExternalInterface;
}

export interface HostParts {
  /** Throws WeftError when this process may not do its work. */
  checkPermission(): Promise<void>;
  /** Throws WeftError when there is none; ERR_NO_ADDRESS when it may get an address yet. */
  findInterface(scope: UnderlayScope): Promise<ExternalInterface>;
  lookAtLinks(): Promise<readonly AddressedLink[]>;
  /** Throws WeftError when the one in use lost its address and there is no other. */
  followInterface(
    scope: UnderlayScope,
    inUse: ExternalInterface,
    links: readonly AddressedLink[],
  ): Promise<FollowedInterface>;
  /** Before anything is changed, and before there are workers. */
  harden: typeof harden;
  /** What was removed, one clause each. */
  removeLeftovers(scope: LeftoverScope): Promise<string[]>;
  removeBridge(name: string): Promise<void>;
  createRoutes(config: NetworkConfig): RouteKeeper;
  createBackend(context: BackendContext): Backend;
  startRules: typeof startRules;
  /** What the kernel announces from now on, until it is closed. */
  hear(addon: Addon, hear: (news: readonly News[]) => void): Pick<KernelNews, 'problem' | 'close'>;
  forwardingProblem: typeof forwardingProblem;
}

/** The real one. */
export const thisHost: HostParts = {
  checkPermission,
  async findInterface(scope) {
    return findExternalInterface(wishesOf(scope), await lookAtLinks());
  },
  lookAtLinks,
  async followInterface(scope, inUse, links) {
    const wishes = wishesOf(scope);
    const kept = keepExternalInterface(inUse, wishes, links);
    const found = findExternalInterface(wishes, links);
    if (kept) {
      const preferred = await found.catch(() => kept);
      return preferred.name === kept.name ? { now: kept } : { now: kept, preferred };
    }
    const preferred = await found;
    // What a machine gives itself while it gets no address is no address to move to.
    if (isSelfAssigned(preferred) && !isSelfAssigned(inUse)) throw lostAddress(inUse);
    return preferred.name === inUse.name ? { now: preferred } : { now: inUse, preferred };
  },
  harden,
  removeLeftovers: (scope) => removeLeftovers(scope),
  removeBridge: (name) => removeBridge(name),
  createRoutes: (config) => new RouteKeeper(networksOf(config), familiesOf(config)),
  createBackend,
  startRules,
  hear: (addon, hear) => new KernelNews(addon, hear),
  forwardingProblem,
};

export function networksOf({ ipv4, ipv6 }: NetworkConfig): Prefix[] {
  return [ipv4, ipv6].flatMap((range) => range?.network ?? []);
}

function wishesOf({ settings, config, podSubnets }: UnderlayScope): InterfaceWishes {
  const { interfaces, interfacePatterns: patterns, canReach, publicIp, publicIpv6 } = settings;
  const wants4 = config.ipv4 !== undefined;
  const wants6 = config.ipv6 !== undefined;
  return { interfaces, patterns, canReach, publicIp, publicIpv6, wants4, wants6, podSubnets };
}

function lostAddress(inUse: ExternalInterface): WeftError {
  const message = `${describeInterface(inUse)} lost its address; waiting for another`;
  return new WeftError('ERR_NO_ADDRESS', EXIT.failure, message);
}
