/** The pods' bridge of an earlier subnet, as of the last look at the host's links: with it there, the CNI plugin refuses every new pod. */
import type { LeaseSubnets } from '../cluster/lease/lease.ts';
import { cniBridgeIn, isWithin, staleSubnets } from '../host/cni-bridge.ts';
import type { AddressedLink } from '../host/ip-json.ts';
import { formatPrefix, type Prefix } from '../shared/address.ts';
import { messageOf } from '../shared/errors.ts';
import type { PlainLog } from '../shared/repeats.ts';

export class BridgeWatch {
  /** why it is still there, '' where there is none */
  stale = '';
  private readonly remove: (bridge: string) => Promise<void>;
  private readonly log: PlainLog;

  /** `remove` takes a device away. */
  constructor(remove: (bridge: string) => Promise<void>, log: PlainLog) {
    this.remove = remove;
    this.log = log;
  }

  /**
   * A bridge of the overlay's network (`networks`) without pods is removed: the plugin makes it anew for the next one. Another one is
   * somebody else's, and stays. `own`: the node's subnets.
   */
  async look(
    links: readonly AddressedLink[],
    own: LeaseSubnets,
    networks: readonly Prefix[],
  ): Promise<void> {
    this.stale = '';
    const bridge = cniBridgeIn(links);
    const subnets = bridge ? staleSubnets(bridge, own) : [];
    if (!bridge || subnets.length === 0) return;
    const { name, ports } = bridge;
    const what = `${name} has ${textOf(subnets)}, this node's pods ${textOf([own.subnet4, own.subnet6])}`;
    const isTheirs = subnets.some(
      (subnet) => !networks.some((network) => isWithin(subnet, network)),
    );
    if (ports.length > 0) this.stale = `${what}; devices on it: ${ports.length}`;
    else if (isTheirs) this.stale = `${what}, and it is not of this network`;
    else await this.removeEmpty(name, what);
  }

  private async removeEmpty(name: string, what: string): Promise<void> {
    try {
      await this.remove(name);
      this.log.warn(`${what}; nothing was on it, it is removed`);
    } catch (error) {
      this.stale = `${what}; it can't be removed: ${messageOf(error)}`;
    }
  }
}

function textOf(subnets: readonly (Prefix | undefined)[]): string {
  return subnets.flatMap((subnet) => (subnet ? formatPrefix(subnet) : [])).join(' and ');
}
