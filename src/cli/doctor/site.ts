/** What the checks look at: settings, daemon, store, host. Each is read once, when the first check asks, and never changed. */
import type * as z from 'zod';
import type { ReachPage } from '../../api/reach.ts';
import type { OwnObjectEntry } from '../../api/status.ts';
import { createRegistry } from '../../cluster/create-registry.ts';
import type { Lease } from '../../cluster/lease/lease.ts';
import { type NetworkConfig, parseNetworkConfig } from '../../cluster/network-config.ts';
import type { ClockReading, LeaseList, Registry } from '../../cluster/registry.ts';
import { readCniNetworks } from '../../host/cni-config.ts';
import {
  type ExternalInterface,
  findExternalInterface,
  lookAtLinks,
} from '../../host/external-interface.ts';
import { ipJson, ROUTE } from '../../host/ip-json.ts';
import { kubeProxyIn, readProxyTexts } from '../../host/kube-proxy.ts';
import { readSubnetEnv } from '../../host/subnet-env.ts';
import type { Settings } from '../../options/settings.ts';
import { formatAddress, sameWords } from '../../shared/address.ts';
import { systemClock } from '../../shared/clock.ts';
import { messageOf } from '../../shared/errors.ts';
import { once } from '../../shared/memo.ts';
import { silent } from '../../shared/repeats.ts';
import { fetchPage } from '../client.ts';
import { peersShape, statusShape } from '../pages.ts';
import { fetchReach } from '../ping/page.ts';
import { readTables } from './firewall/read.ts';
import { isRoot } from './rights.ts';
import { DEFAULTS, type Judged } from './settings.ts';

const siteStatusShape = statusShape
  .pick({
    healthy: true,
    notReady: true,
    pid: true,
    lease: true,
    store: true,
    firewall: true,
    health: true,
    devices: true,
    offloads: true,
    fastPath: true,
    workers: true,
    hardening: true,
    counters: true,
    stats: true,
    drops: true,
  })
  .required({ pid: true })
  .partial({ firewall: true });
export type StatusPage = z.infer<typeof siteStatusShape>;

/** The registry as it was found, or why not. */
export type StoreView =
  | { error: string }
  | { name: string; place: string; config: string | undefined; list: LeaseList; tookMs: number };

/** What the daemon, or else the registry, knows of the own Node of Kubernetes. */
export type OwnNodeView = Pick<OwnObjectEntry, 'nodeName' | 'podCidrs'>;

/** Another node, by its lease. */
export interface PeerView {
  key: string;
  publicIp: string;
  /** address of its overlay device */
  overlay: string;
}

export class Site {
  readonly judged: Judged;
  readonly adminSocket: string;

  constructor(judged: Judged, adminSocket: string) {
    this.judged = judged;
    this.adminSocket = adminSocket;
  }

  get settings(): Settings | undefined {
    return this.judged.settings;
  }

  /** Whether the settings of a daemon may be others than those that are judged. */
  get isGuess(): boolean {
    return !isRoot() && this.judged.origin === DEFAULTS;
  }

  readonly status = once(() => this.freshStatus());
  /** The daemon's own page, or why it can't be had. */
  async freshStatus(): Promise<StatusPage | { error: string }> {
    try {
      return siteStatusShape.parse(await fetchPage(this.adminSocket, '/status'));
    } catch (error) {
      return { error: messageOf(error) };
    }
  }

  /** Who reaches whom, and what other nodes say of themselves, or why that can't be had. */
  readonly reach = once(async (): Promise<ReachPage | { error: string }> => {
    try {
      return await fetchReach(this.adminSocket);
    } catch (error) {
      return { error: messageOf(error) };
    }
  });

  /** What the daemon sent to a peer and took from it, in packets; nothing where it does not say. */
  async freshTraffic(key: string): Promise<{ sent: number; received: number }> {
    const page = peersShape.safeParse(await fetchPage(this.adminSocket, '/peers'));
    const sum = { sent: 0, received: 0 };
    for (const peer of page.data?.peers ?? []) {
      if (peer.key !== key) continue;
      sum.sent += peer.sentPackets ?? 0;
      sum.received += peer.receivedPackets ?? 0;
    }
    return sum;
  }

  /** undefined where no daemon answers */
  async daemon(): Promise<StatusPage | undefined> {
    const status = await this.status();
    return 'error' in status ? undefined : (status as StatusPage);
  }

  readonly store = once(async (): Promise<StoreView> => {
    try {
      return await this.withRegistry(async (registry) => {
        const config = await registry.readConfig();
        const list = await registry.list();
        // The first call pays for the connection, and for this process's own start.
        const startedMs = performance.now();
        await registry.readConfig();
        const tookMs = performance.now() - startedMs;
        return { name: registry.name, place: registry.configPlace, config, list, tookMs };
      });
    } catch (error) {
      return { error: messageOf(error) };
    }
  });

  /** The clock by which leases end; a text where nobody knows it. */
  readonly clock = once(
    (): Promise<ClockReading | string> =>
      this.withRegistry(async (registry) => registry.readClock?.() ?? 'leases do not end there'),
  );

  private async withRegistry<T>(work: (registry: Registry) => Promise<T>): Promise<T> {
    if (!this.settings) throw new Error('the settings can not be used');
    const { store, renewMarginMs } = this.settings;
    const options = { renewMarginMs, log: silent, clock: systemClock };
    const registry = await createRegistry(store, options);
    try {
      return await work(registry);
    } finally {
      await registry.close();
    }
  }

  readonly config = once(async (): Promise<NetworkConfig | undefined> => {
    const view = await this.store();
    if ('error' in view || view.config === undefined) return undefined;
    try {
      return parseNetworkConfig(view.config);
    } catch {
      return undefined;
    }
  });

  readonly leases = once(async (): Promise<readonly Lease[]> => {
    const view = await this.store();
    return 'error' in view ? [] : view.list.leases;
  });

  readonly external = once(async (): Promise<ExternalInterface | { error: string }> => {
    if (!this.settings) return { error: 'the settings can not be used' };
    const { interfaces, interfacePatterns, canReach, publicIp, publicIpv6 } = this.settings;
    const config = await this.config();
    const wishes = { interfaces, patterns: interfacePatterns, canReach, publicIp, publicIpv6 };
    try {
      const wants4 = config ? config.ipv4 !== undefined : true;
      const wants6 = config?.ipv6 !== undefined;
      const { subnets } = await readSubnetEnv(this.settings.subnetFile);
      const podSubnets = [subnets?.subnet4, subnets?.subnet6].flatMap((subnet) => subnet ?? []);
      return await findExternalInterface(
        { ...wishes, wants4, wants6, podSubnets },
        await this.links(),
      );
    } catch (error) {
      return { error: messageOf(error) };
    }
  });

  readonly ownLease = once(async (): Promise<Lease | undefined> => {
    const key = (await this.daemon())?.lease?.key;
    const leases = await this.leases();
    if (key) return leases.find((lease) => lease.key === key);
    const external = await this.external();
    if ('error' in external || !external.public4) return undefined;
    const own = external.public4;
    return leases.find(({ attributes: { publicIp4 } }) => publicIp4 && sameWords(publicIp4, own));
  });

  /** The other nodes, IPv4 where they have it. */
  readonly peers = once(async (): Promise<PeerView[]> => {
    const own = await this.ownLease();
    return (await this.leases()).flatMap((lease) => {
      const { publicIp4, publicIp6 } = lease.attributes;
      const address = publicIp4 ?? publicIp6;
      const subnet = publicIp4 ? lease.subnet4 : lease.subnet6;
      if (lease.key === own?.key || !address || !subnet) return [];
      const overlay = formatAddress(subnet.words);
      return { key: lease.key, publicIp: formatAddress(address), overlay };
    });
  });

  readonly links = once(() => lookAtLinks());
  readonly routes = once(() => ipJson(ROUTE, ['route', 'show']));
  readonly tables = once(readTables);
  readonly cniNetworks = once(() => readCniNetworks());
  readonly proxyTexts = once(() => readProxyTexts());
  readonly kubeProxy = once(async () => kubeProxyIn(await this.proxyTexts(), await this.links()));

  /** The own Node of Kubernetes: what the daemon knows of it, or else the API server; undefined where neither answers. */
  readonly ownNode = once(async (): Promise<OwnNodeView | undefined> => {
    const known = (await this.daemon())?.store.kubernetes;
    if (known) return known;
    try {
      return await this.withRegistry(async (registry) => {
        await registry.ownBefore?.();
        const own = registry.ownObject;
        return own && { nodeName: own.name ?? null, podCidrs: [...own.podCidrs] };
      });
    } catch {
      return undefined;
    }
  });
}
