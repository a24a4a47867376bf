/** Addresses of this host that disturb the overlay, as of the last look at its links. */
import type { Peer } from '../cluster/peers.ts';
import type { AddressedLink } from '../host/ip-json.ts';
import { runningManagers } from '../host/network-managers.ts';
import { addressesOn, foreignOn, type LocalAddress, takenFrom } from '../host/overlay-addresses.ts';
import {
  formatPrefix,
  type Prefix,
  prefixContains,
  sameWords,
  type Words,
} from '../shared/address.ts';

/** As many are named; the rest is a number. */
const NAMED_MAX = 3;

/** What it compares the host with. */
export interface Overlay {
  networks: readonly Prefix[];
  peers: readonly Peer[];
  devices: readonly string[];
  /** this node's, whose first addresses these devices have */
  subnets: readonly Prefix[];
}

export class AddressWatch {
  /** which of other nodes' addresses this host has, '' if none */
  taken = '';
  /** which addresses others gave to our devices, '' if none */
  foreign = '';
  private local: readonly LocalAddress[] = [];
  private readonly managers: () => Promise<string[]>;

  constructor(managers: () => Promise<string[]> = runningManagers) {
    this.managers = managers;
  }

  async look(links: readonly AddressedLink[], overlay: Overlay): Promise<void> {
    const { networks, peers, devices, subnets } = overlay;
    this.local = addressesOn(links);
    // The few that can be a peer's: all peers are looked at for each.
    const inside = this.local.filter(({ words }) => isIn(networks, words) && !isIn(subnets, words));
    this.taken = some(
      takenFrom(peers, inside).map(
        ({ peer, address }) =>
          `${address.text} on ${address.device}, of ${formatPrefix(peer.subnet)} (node ${peer.key})`,
      ),
    );
    const foreign = some(
      foreignOn(
        devices,
        subnets.map(({ words }) => words),
        this.local,
      ).map(({ device, text }) => `${device} has ${text}`),
    );
    if (foreign === '') this.foreign = '';
    else if (!this.foreign.startsWith(foreign))
      this.foreign = `${foreign}; ${await this.whoRuns()}`;
  }

  private async whoRuns(): Promise<string> {
    const names = await this.managers().catch(() => []);
    return names.length > 0
      ? `${names.join(' and ')} runs on this host`
      : 'no network manager is to be seen';
  }

  /** The device of this host that has the address; undefined where none has it. */
  deviceWith(address: Words): string | undefined {
    return this.local.find(({ words }) => sameWords(words, address))?.device;
  }
}

function isIn(prefixes: readonly Prefix[], address: Words): boolean {
  return prefixes.some((prefix) => prefixContains(prefix, address));
}

function some(texts: readonly string[]): string {
  const rest = texts.length - NAMED_MAX;
  return `${texts.slice(0, NAMED_MAX).join('; ')}${rest > 0 ? `; and ${rest} more` : ''}`;
}
