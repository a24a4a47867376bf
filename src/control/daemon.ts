/**
 * The daemon: the order in which a node starts and stops. What happens in between is told by others: membership/ follows the cluster,
 * upkeep.ts the host, backend/ and plane/ carry the packets; observers read node.ts.
 */

import type { LeaseSubnets } from '../cluster/lease/lease.ts';
import { type NetworkConfig, parseNetworkConfig } from '../cluster/network-config.ts';
import type { Peer, Skipped } from '../cluster/peers.ts';
import type { HeldLease, JoinWish, OwnBefore, Registry } from '../cluster/registry.ts';
import type { ExternalInterface } from '../host/external-interface.ts';
import type { AddressedLink } from '../host/ip-json.ts';
import type { KernelNews } from '../host/kernel-news.ts';
import type { RouteKeeper } from '../host/routes.ts';
import { formatSubnetEnv, readSubnetEnv } from '../host/subnet-env.ts';
import type { Addon } from '../memory/addon.ts';
import type { EffectiveOption } from '../options/effective.ts';
import type { Settings } from '../options/settings.ts';
import { formatAddress, formatPrefix, type Prefix } from '../shared/address.ts';
import type { Clock } from '../shared/clock.ts';
import { EXIT, messageOf, WeftError } from '../shared/errors.ts';
import { writeFileAtomically } from '../shared/files.ts';
import { AddressWatch } from './address-watch.ts';
import { type Backend, familiesOf } from './backend/backend.ts';
import { BridgeWatch } from './bridge-watch.ts';
import { ClockWatch } from './clock-watch.ts';
import type { Hardening } from './hardening.ts';
import { type HostParts, networksOf } from './host-parts.ts';
import type { Log } from './log/log.ts';
import { expiryField, readyFields, underlayFields } from './log-fields.ts';
import type { FdStore } from './manager/fd-store.ts';
import { ManagerReport } from './manager/manager-report.ts';
import { Notifier } from './manager/notify.ts';
import { type Apply, Membership } from './membership/membership.ts';
import type { Node, Problems, StoreState } from './node.ts';
import { SelfWatch } from './observe/self-watch.ts';
import { Patience } from './patience.ts';
import { readState } from './plane/state.ts';
import type { Reach } from './reach/reach.ts';
import { startReach } from './reach/start.ts';
import type { RuleKeeper } from './rules.ts';
import { Listeners } from './serve/listeners.ts';
import { Turn } from './turn.ts';
import { Upkeep } from './upkeep.ts';

/** What a daemon is made of. The registry is closed by {@link Daemon.stop}; the addon and the descriptor store outlive it. */
export interface DaemonParts {
  settings: Settings;
  /** the settings' flags with their origin, for /config */
  options: readonly EffectiveOption[];
  registry: Registry;
  log: Log;
  addon: Addon;
  /** what the process before left */
  fds: FdStore;
  clock: Clock;
  host: HostParts;
}

/** What a running daemon has. */
interface Running {
  config: NetworkConfig;
  own: HeldLease;
  backend: Backend;
  routes: RouteKeeper;
  external: ExternalInterface;
}

export class Daemon implements Node {
  readonly settings: Settings;
  readonly options: readonly EffectiveOption[];
  readonly registry: Registry;
  readonly startedAt: Date;
  phase = 'starting';
  config: NetworkConfig | undefined;
  lease: HeldLease | undefined;
  backend: Backend | undefined;
  reach: Reach | undefined;
  hardening: Hardening | undefined;
  private readonly parts: DaemonParts;
  private readonly log: Log;
  private readonly abort = new AbortController();
  /** the backend takes one call at a time */
  private readonly turn: Turn;
  private readonly notifier: Notifier;
  private readonly patience: Patience;
  private readonly membership: Membership;
  private readonly clockWatch: ClockWatch;
  private readonly report: ManagerReport;
  private readonly watch: SelfWatch;
  private readonly listeners: Listeners;
  /** the underlay as the start found it; later upkeep has it */
  private found: ExternalInterface | undefined;
  /** with the addresses that people chose in the registry */
  private underlaySettings: Settings;
  private readonly addresses = new AddressWatch();
  private readonly bridge: BridgeWatch;
  private routes: RouteKeeper | undefined;
  private rules: RuleKeeper | undefined;
  private upkeep: Upkeep | undefined;
  private news: Pick<KernelNews, 'close'> | undefined;

  constructor(parts: DaemonParts) {
    const { settings, options, registry, log, addon, fds, clock, host } = parts;
    this.parts = parts;
    this.settings = settings;
    this.underlaySettings = settings;
    this.options = options;
    this.registry = registry;
    this.log = log;
    this.startedAt = new Date(clock.nowMs());
    this.turn = new Turn(log, this.abort.signal);
    this.notifier = new Notifier(addon, log);
    const extendStart = (ms: number): void => this.notifier.extendStart(ms);
    this.patience = new Patience(log, clock, this.abort.signal, extendStart);
    this.membership = new Membership(registry, log, clock);
    this.bridge = new BridgeWatch((name) => host.removeBridge(name), log);
    this.clockWatch = new ClockWatch(registry, clock);
    this.report = new ManagerReport(this, this.notifier, fds);
    this.watch = new SelfWatch(this, (notice) => registry.tell?.(notice));
    this.listeners = new Listeners(this);
  }

  /** Resolves when packets are forwarded. Throws WeftError; the caller then calls {@link stop}. */
  async start(): Promise<void> {
    const { settings, log, addon, fds, host } = this.parts;
    this.report.start();
    await host.checkPermission();
    await this.startListeners();
    this.phase = 'waiting for the network config';
    const config = await this.readConfig();
    this.config = config;
    const before = await this.ask(async () => this.registry.ownBefore?.());
    this.underlaySettings = withChosen(settings, before);
    const previous = await readSubnetEnv(settings.subnetFile);
    this.phase = 'waiting for an address in the underlay';
    const external = await this.patience.until(() =>
      host.findInterface({
        settings: this.underlaySettings,
        config,
        podSubnets: podSubnetsOf(previous.subnets ?? {}),
      }),
    );
    this.found = external;
    log.info(underlayFields(external), `using ${external.name} as underlay (${external.reason})`);
    const { leases } = await this.ask(() => this.registry.list());

    // ---- above: only reads; below: changes this machine and the registry ----

    this.phase = 'opening the data plane';
    this.hardening = await host.harden(addon, settings, config, log);
    const routes = host.createRoutes(config);
    this.routes = routes;
    const others = leases.filter(({ key }) => key !== before?.key);
    const context = { addon, log, fds, settings, config, routes, external, leases: others };
    const backend = host.createBackend({ ...context, published: before?.published });
    this.backend = backend;
    const { macs } = await readState(settings.stateFolder);
    await backend.open();
    fds.discardRest();
    await this.removeLeftovers(config, backend, Object.keys(macs), previous.prefixes);
    this.phase = 'waiting for a lease';
    const attributes = await backend.attributes();
    const own = await this.join({ config, attributes, previous: previous.subnets });
    this.tellOfOtherSubnet(previous.subnets ?? {}, own.lease);
    const scope = { config, own };
    const first = await this.ask(() => this.registry.list());
    await backend.start(own.lease, this.membership.begin(first, scope));
    this.phase = 'installing firewall rules';
    this.rules = await host.startRules(config, own.lease, previous.prefixes, settings, log);
    if (settings.blackholeRoute) {
      routes.set(
        'blackhole',
        podSubnetsOf(own.lease).map((prefix) => ({ prefix })),
      );
    }
    await this.writeSubnetEnv(config, own, backend);
    this.reach = startReach(this, addon, log, (address) => this.addresses.deviceWith(address));
    this.phase = '';
    const apply: Apply = (changes) => backend.apply(changes);
    this.membership.follow(scope, apply, this.turn, this.abort.signal);
    this.upkeep = this.startUpkeep({ config, own, backend, routes, external });
    this.clockWatch.start();
    await this.registry.nodeReady?.();
    this.notifier.ready();
    log.info(readyFields(this, backend), 'ready');
  }

  private async removeLeftovers(
    config: NetworkConfig,
    backend: Backend,
    known: readonly string[],
    previous: readonly Prefix[],
  ): Promise<void> {
    const used = backend.status().devices.map(({ device }) => device);
    const networks = networksOf(config);
    const { host, log } = this.parts;
    const removed = await host.removeLeftovers({ used, known, networks, previous });
    if (removed.length > 0)
      log.warn(`removed what an earlier run with another config left: ${removed.join(', ')}`);
  }

  private startUpkeep(running: Running): Upkeep {
    const { log, clock, host } = this.parts;
    const { config, own, backend, routes, external } = running;
    const settings = this.underlaySettings;
    const podSubnets = podSubnetsOf(own.lease);
    const upkeep = new Upkeep(
      {
        backend,
        routes,
        peers: () => this.membership.peers,
        podSubnets,
        external,
        lookAtLinks: () => this.lookAtLinks(backend, own.lease, networksOf(config)),
        awaits: () => this.bridge.stale,
        follow: (inUse, links) =>
          host.followInterface({ settings, config, podSubnets }, inUse, links),
        announce: async (what) => {
          const text = `${what}; pods that are made from now on have an MTU of ${backend.podMtu()}`;
          this.registry.tell?.({ reason: 'UnderlayChanged', isWarning: false, text });
          await this.announce(config, own, backend);
        },
        log,
        clock,
      },
      this.turn,
    );
    const news = host.hear(this.parts.addon, (heard) => {
      upkeep.hear(heard);
      backend.hear?.(heard);
      this.rules?.hear(heard);
    });
    if (news.problem !== '')
      log.warn(`the kernel's news of ${news.problem} can't be heard: looking every few seconds`);
    else {
      this.rules?.listen();
      backend.listen?.();
    }
    this.news = news;
    upkeep.start(news.problem === '');
    return upkeep;
  }

  private async lookAtLinks(
    backend: Backend,
    subnets: LeaseSubnets,
    networks: readonly Prefix[],
  ): Promise<readonly AddressedLink[]> {
    const links = await this.parts.host.lookAtLinks();
    const devices = backend.status().devices.map(({ device }) => device);
    const { peers } = this;
    await this.addresses.look(links, { networks, peers, devices, subnets: podSubnetsOf(subnets) });
    await this.bridge.look(links, subnets, networks);
    return links;
  }

  private async startListeners(): Promise<void> {
    const isTest = process.env['WEFT_FAULTS'] === '1';
    await this.listeners.start(
      this.watch,
      isTest ? (worker, fault) => this.backend?.failWorker(worker, fault) : undefined,
    );
    this.watch.start();
  }

  /** A missing or bad config can be written or repaired while we wait. */
  private readConfig(): Promise<NetworkConfig> {
    return this.patience.until(async () => {
      const text = await this.membership.ask(() => this.registry.readConfig());
      if (text !== undefined) return parseNetworkConfig(text);
      const message = `no network config yet; write ${this.registry.configPlace}`;
      throw new WeftError('ERR_CONFIG', EXIT.config, message);
    });
  }

  /** For as long as it takes. */
  private ask<T>(call: () => Promise<T>): Promise<T> {
    return this.patience.until(() => this.membership.ask(call));
  }

  private async join(wish: JoinWish): Promise<HeldLease> {
    const own = await this.ask(() => this.registry.join(wish));
    this.lease = own;
    const { lease, state } = own;
    const how = state === 'remembered' ? 'lease remembered' : 'lease acquired';
    this.log.info({ key: lease.key, ...expiryField(lease) }, how);
    return own;
  }

  /** Pods that were made before keep their addresses, which nobody sends to this node any more. */
  private tellOfOtherSubnet(previous: LeaseSubnets, now: LeaseSubnets): void {
    const [before, after] = [previous, now].map((subnets) =>
      podSubnetsOf(subnets).map(formatPrefix),
    );
    const gone = before?.filter((subnet) => !after?.includes(subnet)) ?? [];
    if (gone.length === 0) return;
    const text = `The pods' subnet was ${gone.join(', ')} and is ${after?.join(', ')}: pods with addresses of the old one must be made anew`;
    this.log.warn(text);
    this.registry.tell?.({ reason: 'PodSubnetChanged', isWarning: true, text });
  }

  private async writeSubnetEnv(
    config: NetworkConfig,
    { lease }: HeldLease,
    backend: Backend,
  ): Promise<void> {
    const { subnetFile, masquerade } = this.settings;
    const text = formatSubnetEnv(config, lease, backend.podMtu(), masquerade);
    await writeFileAtomically(subnetFile, text, 0o644);
  }

  private async announce(config: NetworkConfig, own: HeldLease, backend: Backend): Promise<void> {
    await own.publish(await backend.attributes());
    await this.writeSubnetEnv(config, own, backend);
  }

  // ---- what observers see, besides the fields above ----

  get waitsFor(): string {
    return this.patience.waitsFor;
  }

  get external(): ExternalInterface | undefined {
    return this.upkeep?.external ?? this.found;
  }

  get store(): StoreState {
    return this.membership.store;
  }

  get storeCounts(): Node['storeCounts'] {
    return this.membership.counts;
  }

  get peers(): readonly Peer[] {
    return this.membership.peers;
  }

  get peerCount(): number {
    return this.membership.peerCount;
  }

  get held(): number {
    return this.membership.held;
  }

  get skipped(): readonly Skipped[] {
    return this.membership.skipped;
  }

  get unreadable(): number {
    return this.membership.unreadable;
  }

  get twins(): readonly string[] {
    return this.membership.twins;
  }

  get clockAheadMs(): number | undefined {
    return this.clockWatch.aheadMs;
  }

  get problems(): Problems {
    return {
      table: this.membership.problem,
      routes: this.routes?.problem ?? '',
      host: this.upkeep?.problem ?? '',
      underlay: this.upkeep?.underlayMoved ?? '',
      shadowed: this.upkeep?.shadowed ?? '',
      firewall: this.rules?.problem,
      addressTaken: this.addresses.taken,
      addressForeign: this.addresses.foreign,
      bridge: this.bridge.stale,
      forwarding: this.forwardingProblem(),
    };
  }

  get firewallKind(): Node['firewallKind'] {
    return this.rules?.flavour;
  }

  private forwardingProblem(): string {
    const { config, backend } = this;
    if (!config || !backend) return '';
    const { devices } = backend.status();
    return this.parts.host.forwardingProblem(familiesOf(config), devices);
  }

  whyNotReady(): string {
    if (this.phase !== '') return this.phase;
    if (this.lease?.state === 'taken') return 'another node uses our subnet';
    if (this.rules && this.rules.problem !== '') return this.rules.problem;
    return this.backend?.isForwarding() ? '' : 'a worker does not run';
  }

  whyNotAlive(): string {
    const workers = this.backend?.status().workers ?? [];
    return workers.some(({ state }) => state === 'stuck') ? 'a worker is stuck' : '';
  }

  // ---- while it runs, and its end ----

  /** Rejects with what a running daemon can't get over. */
  get failed(): Promise<never> {
    return this.membership.failed;
  }

  /** SIGHUP: looks at the registry again; forwarding goes on meanwhile. What only a restart can change is said. */
  async reload(): Promise<void> {
    if (this.phase !== '') return this.log.warn('reload: the daemon is still starting; ignored');
    this.notifier.reloading();
    try {
      const text = await this.registry.readConfig();
      if (text !== undefined && !sameConfig(parseNetworkConfig(text), this.config))
        this.log.warn('the network config changed; restart weftd to use it');
      await this.membership.look();
      await this.turn.settled;
      this.log.info('reloaded');
    } catch (error) {
      this.log.error(`reload: ${messageOf(error)}`);
    } finally {
      this.notifier.ready();
    }
  }

  /** Ends everything this process holds; lease and rules stay, as flannel leaves them, and routes where nobody has better ones. */
  async stop(): Promise<void> {
    this.abort.abort();
    this.news?.close();
    this.upkeep?.stop();
    this.clockWatch.stop();
    this.report.stop();
    this.watch.stop();
    this.lease?.stop();
    this.rules?.stop();
    this.reach?.stop();
    this.notifier.stopping();
    await this.listeners.stop();
    await this.turn.settled;
    await this.yieldRoutes();
    await this.backend?.close();
    await this.registry.close();
  }

  /** Before the devices go, so that there is no moment without routes. */
  private async yieldRoutes(): Promise<void> {
    const devices = this.backend?.status().devices ?? [];
    try {
      await this.routes?.yield(devices.map(({ device }) => device));
    } catch (error) {
      this.log.warn(`routes stay as they are: ${messageOf(error)}`);
    }
  }
}

function withChosen(settings: Settings, before: OwnBefore | undefined): Settings {
  const { publicIp4, publicIp6 } = before ?? {};
  return {
    ...settings,
    ...(publicIp4 && { publicIp: formatAddress(publicIp4) }),
    ...(publicIp6 && { publicIpv6: formatAddress(publicIp6) }),
  };
}

function sameConfig(a: NetworkConfig, b: NetworkConfig | undefined): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function podSubnetsOf({ subnet4, subnet6 }: LeaseSubnets): Prefix[] {
  return [subnet4, subnet6].flatMap((subnet) => subnet ?? []);
}
