/** A machine and a backend that only note what is asked of them: the daemon's order of things without root (fake host). */
import type { LeaseAttributes } from '../../src/cluster/lease/lease.ts';
import type { Peer, PeerChange } from '../../src/cluster/peers.ts';
import { AllocBackend } from '../../src/control/backend/alloc.ts';
import type { HostParts } from '../../src/control/host-parts.ts';
import { RuleKeeper } from '../../src/control/rules.ts';
import type { ExternalInterface } from '../../src/host/external-interface.ts';
import type { AddressedLink } from '../../src/host/ip-json.ts';
import type { News } from '../../src/host/kernel-news.ts';
import { RouteKeeper } from '../../src/host/routes.ts';
import { formatAddress } from '../../src/shared/address.ts';
import { words } from './rig.ts';

export class MadeUpHost implements HostParts {
  readonly calls: string[];
  external: ExternalInterface = underlay('192.0.2.1');
  /** thrown by backend.move while it is set */
  moveFailure: Error | undefined;
  /** keys of the peers in force */
  inForce: string[] = [];
  forwarding = false;
  /** thrown by findInterface and followInterface while it is set */
  addressFailure: Error | undefined;
  /** thrown by backend.heal while it is set */
  healFailure: Error | undefined;
  links: AddressedLink[] = [];
  /** The kernel says this. */
  announce: (news: readonly News[]) => void = () => undefined;
  /** what its kernel's settings are */
  forwardingProblem = (): string => '';

  constructor(calls: string[]) {
    this.calls = calls;
  }

  async checkPermission(): Promise<void> {
    this.calls.push('checkPermission');
  }

  async findInterface(): Promise<ExternalInterface> {
    if (this.addressFailure) throw this.addressFailure;
    return this.external;
  }

  async lookAtLinks(): Promise<readonly AddressedLink[]> {
    return this.links;
  }

  /** Follows `external` where it has the name of the one in use. */
  followInterface: HostParts['followInterface'] = async (_scope, inUse) => {
    if (this.addressFailure) throw this.addressFailure;
    const { external } = this;
    return external.name === inUse.name ? { now: external } : { now: inUse, preferred: external };
  };

  /** what can't be heard */
  newsProblem = '';
  hear: HostParts['hear'] = (_addon, hear) => {
    this.announce = hear;
    return { problem: this.newsProblem, close: () => this.calls.push('news.close') };
  };

  /** Of the process that runs the tests nothing is taken. */
  harden: HostParts['harden'] = async () => {
    this.calls.push('harden');
    return { noDump: 'on', noRings: 'on', files: 'on: Landlock 7' };
  };

  /** Nothing was here before. */
  async removeLeftovers(): Promise<string[]> {
    return [];
  }

  async removeBridge(name: string): Promise<void> {
    this.calls.push(`removeBridge ${name}`);
  }

  /** `ip` shows no routes and takes every change. */
  createRoutes(): RouteKeeper {
    return new RouteKeeper([], [4], async () => '[]');
  }

  createBackend: HostParts['createBackend'] = (context) => {
    const host = this;
    return new (class extends AllocBackend {
      override async open(): Promise<void> {
        host.calls.push('backend.open');
      }

      override async attributes(): Promise<LeaseAttributes> {
        const { public4 } = this.context.external;
        return { backendType: 'host-gw', ...(public4 && { publicIp4: public4 }) };
      }

      override async start(subnets: object, peers: readonly Peer[]): Promise<void> {
        host.calls.push('backend.start');
        host.forwarding = true;
        await super.start(subnets, peers);
      }

      override async apply(changes: readonly PeerChange[]): Promise<void> {
        for (const { before, after } of changes) {
          host.inForce = host.inForce.filter((key) => key !== before?.key);
          if (after) host.inForce.push(after.key);
        }
      }

      override async heal(): Promise<string> {
        host.calls.push('backend.heal');
        if (host.healFailure) throw host.healFailure;
        return '';
      }

      override async move(external: ExternalInterface): Promise<void> {
        await super.move(external);
        host.calls.push(`backend.move ${external.address4 && formatAddress(external.address4)}`);
        if (host.moveFailure) throw host.moveFailure;
      }

      override isForwarding(): boolean {
        return host.forwarding;
      }

      override async close(): Promise<void> {
        host.calls.push('backend.close');
      }
    })(context);
  };

  startRules: HostParts['startRules'] = async (_config, _lease, _previous, _settings, log) => {
    this.calls.push('startRules');
    const rules = new RuleKeeper(
      { flavour: 'iptables', isAnnounced: false, ensure: async () => '' },
      false,
      log,
    );
    await rules.start(60_000);
    return rules;
  };
}

export function underlay(
  address: string,
  change: Partial<ExternalInterface> = {},
): ExternalInterface {
  const own = words(address);
  return { name: 'eth0', mtu: 1500, reason: 'made up', address4: own, public4: own, ...change };
}
