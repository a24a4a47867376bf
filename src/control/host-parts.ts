/** What the daemon asks of the machine that it runs on; a test gives it one that is made up. */
import type { NetworkConfig } from '../cluster/network-config.ts';
import { type ExternalInterface, findExternalInterface } from '../host/external-interface.ts';
import { forwardingProblem } from '../host/forwarding.ts';
import { checkPermission } from '../host/preflight.ts';
import { RouteKeeper } from '../host/routes.ts';
import type { Settings } from '../options/settings.ts';
import type { Backend, BackendContext } from './backend/backend.ts';
import { familiesOf } from './backend/backend.ts';
import { createBackend } from './backend/create.ts';
import { startRules } from './rules.ts';

export interface HostParts {
  /** Throws WeftError when this process may not do its work. */
  checkPermission(): Promise<void>;
  /** Throws WeftError when there is none. */
  findInterface(settings: Settings, config: NetworkConfig): Promise<ExternalInterface>;
  createRoutes(config: NetworkConfig): RouteKeeper;
  createBackend(context: BackendContext): Backend;
  startRules: typeof startRules;
  forwardingProblem: typeof forwardingProblem;
}

/** The real one. */
export const thisHost: HostParts = {
  checkPermission,
  findInterface(settings, config) {
    const { interfaces, interfacePatterns: patterns, canReach, publicIp, publicIpv6 } = settings;
    const wants4 = config.ipv4 !== undefined;
    const wants6 = config.ipv6 !== undefined;
    const wishes = { interfaces, patterns, canReach, publicIp, publicIpv6, wants4, wants6 };
    return findExternalInterface(wishes);
  },
  createRoutes(config) {
    const networks = [config.ipv4, config.ipv6].flatMap((range) => range?.network ?? []);
    return new RouteKeeper(networks, familiesOf(config));
  },
  createBackend,
  startRules,
  forwardingProblem,
};
