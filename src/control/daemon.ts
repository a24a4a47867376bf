/** The daemon: start order, the store's and the host's changes while it runs, stop order. */
import { unlink } from 'node:fs/promises';
import type http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { acquireLease, junkKeys, parseLeases } from '../cluster/lease/acquire.ts';
import type { Lease, LeaseSubnets } from '../cluster/lease/lease.ts';
import { type NetworkConfig, parseNetworkConfig } from '../cluster/network-config.ts';
import { leasesToPeers, type Peer } from '../cluster/peers.ts';
import type { Snapshot, Store } from '../cluster/store/store.ts';
import {
  type ExternalInterface,
  findExternalInterface,
  sameInterface,
} from '../host/external-interface.ts';
import { createFirewall, removeRules } from '../host/firewall/firewall.ts';
import { checkPermission } from '../host/preflight.ts';
import { type Route, RouteKeeper } from '../host/routes.ts';
import { formatSubnetEnv, readSubnetEnv } from '../host/subnet-env.ts';
import { type Addon, loadAddon } from '../memory/addon.ts';
import type { EffectiveOption } from '../options/effective.ts';
import type { Settings } from '../options/settings.ts';
import type { Prefix } from '../shared/address.ts';
import { EXIT, messageOf, WeftError } from '../shared/errors.ts';
import { writeFileAtomically } from '../shared/files.ts';
import type { Backend } from './backend/backend.ts';
import { familiesOf } from './backend/backend.ts';
import { createBackend } from './backend/create.ts';
import { type Log, RepeatFilter } from './log/log.ts';
import { expiryField, readyFields, underlayFields } from './log-fields.ts';
import { FdStore } from './manager/fd-store.ts';
import { ManagerReport } from './manager/manager-report.ts';
import { Notifier } from './manager/notify.ts';
import { LeaseKeeper } from './membership/keep.ts';
import { TableGuard } from './membership/table-guard.ts';
import type { Node, Problems, StoreState } from './node.ts';
import { SelfWatch } from './observe/self-watch.ts';
import type { WorkerFault } from './plane/supervisor.ts';
import type { Reach } from './reach/reach.ts';
import { startReach } from './reach/start.ts';
import { RuleKeeper } from './rules.ts';
import { startAdmin } from './serve/admin.ts';
import { startHealth } from './serve/health.ts';
import { pagesOf } from './serve/pages/all.ts';

const RETRY_MS = 1_000;
/** How often the host is compared with what should be there. */
const UPKEEP_MS = 5_000;
/** How long one try to reach the store may take: the service manager must not lose patience before us. */
const TRY_MS = 30_000;

/** Everything a running daemon holds. */
export class Daemon implements Node {
  readonly settings: Settings;
  readonly registry: Store;
  readonly startedAt = new Date();
  /** what is being done until the daemon is ready */
  phase = 'starting';
  /** what went wrong with that at the last try, '' if nothing */
  waitsFor = '';
  config: NetworkConfig | undefined;
  external: ExternalInterface | undefined;
  backend: Backend | undefined;
  keeper: LeaseKeeper | undefined;
  rules: RuleKeeper | undefined;
  /** as long as the daemon is up, with a backend that has devices */
  reach: Reach | undefined;
  peers: readonly Peer[] = [];
  held = 0;
  store: StoreState = { ok: true, message: '', lastEventAt: new Date() };
  /** Why the newest list of nodes, the host's devices or its routes are not as they should be; '' when they are. */
  tableProblem = '';
  hostProblem = '';
  underlayMoved = '';
  /** flags, environment and defaults, for /config */
  options: readonly EffectiveOption[] = [];
  readonly watch = new SelfWatch(this);
  /** lists that the store's watch delivered, and how often it went away */
  readonly storeCounts = { lists: 0, failures: 0 };
  private readonly log: Log;
  private readonly addon: Addon;
  private readonly fds: FdStore;
  private readonly notifier: Notifier;
  private readonly report: ManagerReport;
  private readonly guard = new TableGuard();
  private readonly repeats = new RepeatFilter();
  private readonly abort = new AbortController();
  private routes: RouteKeeper | undefined;
  private admin: http.Server | undefined;
  private health: http.Server | undefined;
  private web: http.Server | undefined;
  private again: NodeJS.Timeout | undefined;
  private upkeep: NodeJS.Timeout | undefined;
  /** the newest list that nobody has applied yet */
  private pending: Snapshot | undefined;
  /** the backend takes one call at a time */
  private turn: Promise<void> = Promise.resolve();

  /** The store is closed by {@link stop}. */
  constructor(settings: Settings, store: Store, log: Log) {
    this.settings = settings;
    this.registry = store;
    this.log = log;
    this.addon = loadAddon();
    this.fds = FdStore.fromEnvironment(this.addon, process.env);
    this.notifier = new Notifier(this.addon, log);
    this.report = new ManagerReport(this, this.notifier);
  }

  /** Resolves when packets are forwarded. Throws WeftError; the caller then calls {@link stop}. */
  async start(): Promise<void> {
    const { settings, log, addon, fds } = this;
    this.report.start();
    await checkPermission();
    await this.startListeners();
    this.phase = 'waiting for the network config';
    const config = await this.readConfig();
    this.config = config;
    const external = await this.findInterface(config);
    this.external = external;
    log.info(underlayFields(external), `underlay ${external.name}: ${external.reason}`);
    const previous = await readSubnetEnv(settings.subnetFile);
    const leases = parseLeases(await this.patiently(() => this.registry.list()));

    // ---- above: only reads; below: changes this machine and the store ----

    this.phase = 'opening the data plane';
    const networks = [config.ipv4, config.ipv6].flatMap((range) => range?.network ?? []);
    const routes = new RouteKeeper(networks, familiesOf(config));
    this.routes = routes;
    const backend = createBackend({ addon, log, fds, settings, config, routes, external, leases });
    this.backend = backend;
    await backend.open();
    fds.discardRest();
    this.phase = 'waiting for a lease';
    const keeper = await this.acquire(config, backend, previous.subnets);
    this.keeper = keeper;
    const first = await this.patiently(() => this.registry.list());
    await backend.start(keeper.lease, this.toPeers(first, config, keeper));
    this.phase = 'installing firewall rules';
    await this.startRules(config, keeper.lease, previous.prefixes);
    if (settings.blackholeRoute) routes.set('blackhole', blackholesOf(keeper.lease));
    await this.writeSubnetEnv();
    this.reach = startReach(this, addon, log);
    this.phase = '';
    this.followChanges();
    this.notifier.ready();
    log.info(readyFields(this, backend), 'ready');
  }

  /** Probes and people are answered from the beginning. */
  private async startListeners(): Promise<void> {
    const { adminSocket, adminListen, healthAddress, healthPort } = this.settings;
    const fail = (worker: number, fault: WorkerFault): void =>
      this.backend?.failWorker(worker, fault);
    const pages = pagesOf(this, this.watch, process.env['WEFT_FAULTS'] === '1' ? fail : undefined);
    this.admin = await startAdmin(adminSocket, pages);
    if (adminListen) {
      const { startWeb } = await import('./serve/web/server.ts');
      this.web = await startWeb(adminListen, pages);
    }
    this.watch.start();
    if (healthPort === 0) return;
    const { metricsOf } = await import('./observe/metrics.ts'); // only here: a restart should be short
    const whyNotReady = (): string => this.whyNotReady();
    this.health = await startHealth(healthAddress, healthPort, whyNotReady, metricsOf(this));
  }

  private async acquire(
    config: NetworkConfig,
    backend: Backend,
    previous: LeaseSubnets | undefined,
  ): Promise<LeaseKeeper> {
    const attributes = await backend.attributes();
    const lease = await this.patiently(() =>
      acquireLease(this.registry, config, attributes, previous),
    );
    this.log.info({ key: lease.key, ...expiryField(lease) }, 'lease acquired');
    return new LeaseKeeper(this.registry, lease, this.settings.renewMarginMs, this.log);
  }

  private followChanges(): void {
    this.registry.watch(
      (snapshot) => this.onSnapshot(snapshot),
      (error) => this.storeAway(error),
      this.abort.signal,
    );
    this.upkeep = setInterval(() => void this.inTurn(() => this.keepUp()), UPKEEP_MS).unref();
  }

  /** Waits for a config that can be used: a missing or bad one can be repaired while we wait. */
  private async readConfig(): Promise<NetworkConfig> {
    return this.patiently(async () => {
      const text = await this.registry.readConfig();
      if (text !== undefined) return parseNetworkConfig(text);
      const message = `no network config yet; write ${this.registry.configPlace}`;
      throw new WeftError('ERR_CONFIG', EXIT.config, message);
    });
  }

  /** Tries again every second while the store is away or has nothing usable: others are working on it. */
  private async patiently<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      this.notifier.extendStart(TRY_MS);
      try {
        const result = await work();
        this.waitsFor = '';
        return result;
      } catch (error) {
        const code = error instanceof WeftError ? error.code : '';
        if (!['ERR_CONFIG', 'ERR_STORE_UNAVAILABLE', 'ERR_STORE_REFUSED'].includes(code))
          throw error;
        this.waitsFor = messageOf(error);
        const message = `${this.waitsFor}; trying again every second`;
        if (this.repeats.isNew(message)) this.log.error(message);
      }
      await sleep(RETRY_MS, undefined, { signal: this.abort.signal });
    }
  }

  private findInterface(config: NetworkConfig): Promise<ExternalInterface> {
    const { interfaces, interfacePatterns, canReach, publicIp, publicIpv6 } = this.settings;
    return findExternalInterface({
      interfaces,
      patterns: interfacePatterns,
      canReach,
      publicIp,
      publicIpv6,
      wants4: config.ipv4 !== undefined,
      wants6: config.ipv6 !== undefined,
    });
  }

  private async startRules(
    config: NetworkConfig,
    lease: Lease,
    previous: readonly Prefix[],
  ): Promise<void> {
    const { masquerade, fullyRandom, forwardRules, resyncMs } = this.settings;
    const flavour = config.nftables ? 'nftables' : 'iptables';
    const removed = await removeRules(config.nftables ? 'iptables' : 'nftables').catch(
      (error: unknown) => [`not removed: ${messageOf(error)}`],
    );
    for (const line of removed) this.log.info(`firewall rules of the other kind: ${line}`);
    const families = ([4, 6] as const).flatMap((family) => {
      const range = family === 4 ? config.ipv4 : config.ipv6;
      const subnet = family === 4 ? lease.subnet4 : lease.subnet6;
      return range && subnet ? [{ family, network: range.network, subnet }] : [];
    });
    const wishes = { families, masquerade, fullyRandom, forward: forwardRules, previous };
    const firewall = createFirewall(flavour, wishes);
    this.rules = new RuleKeeper(firewall, masquerade, this.log);
    await this.rules.start(resyncMs);
  }

  private async writeSubnetEnv(): Promise<void> {
    const { config, keeper, backend, settings } = this;
    if (!config || !keeper || !backend) return;
    const text = formatSubnetEnv(config, keeper.lease, backend.podMtu(), settings.masquerade);
    await writeFileAtomically(settings.subnetFile, text, 0o644);
  }

  /** Leases → peers, with those kept that vanished in doubtful circumstances. */
  private toPeers(snapshot: Snapshot, config: NetworkConfig, keeper: LeaseKeeper): readonly Peer[] {
    const leases = parseLeases(snapshot);
    const ownKeyPresent = keeper.observe(leases);
    const { peers, skipped } = leasesToPeers(leases, keeper.lease, config);
    const junk = leases.length < snapshot.leases.length ? junkKeys(snapshot) : [];
    for (const key of junk) {
      if (this.repeats.isNew(`junk ${key}`)) this.log.warn({ key }, 'no lease, ignored');
    }
    for (const { key, why } of skipped) {
      if (this.repeats.isNew(`${key} ${why}`)) this.log.warn({ key }, `lease ignored: ${why}`);
    }
    const guarded = this.guard.apply(peers, ownKeyPresent, Date.now());
    this.applyAgainAt(guarded.againAtMs, snapshot);
    if (guarded.held > this.held)
      this.log.warn({ held: guarded.held }, 'leases vanished: their peers are kept for now');
    this.peers = guarded.peers;
    this.held = guarded.held;
    return guarded.peers;
  }

  /** Lists may come faster than they are applied; only the newest counts. */
  private onSnapshot(snapshot: Snapshot): void {
    this.storeCounts.lists++;
    if (!this.store.ok) this.log.info('the store is back');
    this.store = { ok: true, message: '', lastEventAt: new Date() };
    const isWaiting = this.pending !== undefined;
    this.pending = snapshot;
    if (!isWaiting) void this.inTurn(() => this.applyPending());
  }

  private async applyPending(): Promise<void> {
    const { pending, config, keeper, backend } = this;
    this.pending = undefined;
    if (!pending || !config || !keeper || !backend) return;
    try {
      const peers = this.toPeers(pending, config, keeper);
      await backend.apply(peers);
      this.tableProblem = '';
      this.log.debug({ peers: peers.length }, 'peers applied');
    } catch (error) {
      this.tableProblem = messageOf(error);
      if (this.repeats.isNew(this.tableProblem))
        this.log.error(`peers not applied: ${this.tableProblem}`);
    }
  }

  /** Calls to the backend, one after the other; what fails says so itself and does not hold up the next. */
  private inTurn(work: () => Promise<void>): Promise<void> {
    this.turn = this.turn
      .then(() => (this.abort.signal.aborted ? undefined : work()))
      .catch((error) => this.log.error(messageOf(error)));
    return this.turn;
  }

  /** Held peers end by themselves, without a change in the store. */
  private applyAgainAt(atMs: number | undefined, snapshot: Snapshot): void {
    clearTimeout(this.again);
    if (atMs === undefined) return;
    const waitMs = Math.max(100, atMs - Date.now());
    this.again = setTimeout(() => {
      this.pending ??= snapshot;
      void this.inTurn(() => this.applyPending());
    }, waitMs);
  }

  /** The last table stays in force for as long as the store is away. */
  private storeAway(error: Error): void {
    this.storeCounts.failures++;
    clearTimeout(this.again);
    this.guard.storeDoubtful(Date.now());
    if (this.store.ok) this.log.error(`${error.message}; forwarding goes on with the last table`);
    const { lastEventAt } = this.store;
    this.store = { ok: false, message: error.message, lastEventAt };
  }

  /** What others did to the host: the underlay's address or MTU, devices, routes. */
  private async keepUp(): Promise<void> {
    const { backend, config } = this;
    if (!backend || !config) return;
    try {
      await this.lookAtUnderlay(config);
      const healed = await backend.heal();
      const routes = await this.routes?.sync();
      const done = [healed, routes].filter(Boolean).join('; ');
      if (done !== '') this.log.warn(`the host was not as it should be; ${done}`);
      const problem = this.routes?.problem ?? '';
      if (problem !== '' && this.repeats.isNew(problem)) this.log.error(problem);
      this.hostProblem = '';
    } catch (error) {
      const message = messageOf(error);
      this.hostProblem = message;
      if (this.repeats.isNew(message)) this.log.error(`upkeep: ${message}`);
    }
  }

  /** A new address or MTU is followed; another interface is not: a VPN that takes the default route must not take the overlay. */
  private async lookAtUnderlay(config: NetworkConfig): Promise<void> {
    const { external } = this;
    const found = await this.findInterface(config);
    this.underlayMoved = '';
    if (!external || sameInterface(found, external)) return;
    if (found.name === external.name) return this.move(found);
    const message = `${found.name} would be the underlay now (${found.reason}); staying on ${external.name}, restart weftd to move`;
    this.underlayMoved = message;
    if (this.repeats.isNew(message)) this.log.warn(message);
  }

  private async move(external: ExternalInterface): Promise<void> {
    const { name, mtu } = external;
    this.log.warn({ mtu }, `the underlay changed: ${name}; following`);
    this.external = external;
    try {
      await this.backend?.move(external);
    } finally {
      // The new address is told even if the move must be tried again.
      const attributes = await this.backend?.attributes();
      if (attributes) await this.keeper?.publish(attributes);
      await this.writeSubnetEnv();
    }
  }

  get lease(): LeaseKeeper | undefined {
    return this.keeper;
  }

  get problems(): Problems {
    return {
      table: this.tableProblem,
      routes: this.routes?.problem ?? '',
      host: this.hostProblem,
      underlay: this.underlayMoved,
      firewall: this.rules?.problem,
    };
  }

  /** Why this node is not ready, '' when it is. That the store is away is no reason. */
  whyNotReady(): string {
    if (this.phase !== '') return this.phase;
    if (this.keeper?.state === 'taken') return 'another node uses our subnet';
    if (this.rules && this.rules.problem !== '') return this.rules.problem;
    return this.backend?.isForwarding() ? '' : 'a forwarding thread does not run';
  }

  /** SIGHUP: looks at the store again; forwarding goes on meanwhile. What only a restart can change is said. */
  async reload(): Promise<void> {
    if (this.phase !== '') return this.log.warn('reload: the daemon is still starting; ignored');
    this.notifier.reloading();
    try {
      const text = await this.registry.readConfig();
      if (
        text !== undefined &&
        JSON.stringify(parseNetworkConfig(text)) !== JSON.stringify(this.config)
      ) {
        this.log.warn('the network config changed; restart weftd to use it');
      }
      this.onSnapshot(await this.registry.list());
      await this.turn;
      this.log.info('reloaded');
    } catch (error) {
      this.log.error(`reload: ${messageOf(error)}`);
    } finally {
      this.notifier.ready();
    }
  }

  /** Ends everything this process holds; lease, rules and plain routes stay, as flannel leaves them. */
  async stop(): Promise<void> {
    this.abort.abort();
    clearTimeout(this.again);
    clearInterval(this.upkeep);
    this.report.stop();
    this.watch.stop();
    this.keeper?.stop();
    this.rules?.stop();
    this.reach?.stop();
    this.notifier.stopping();
    this.health?.close();
    this.web?.close();
    this.web?.closeAllConnections();
    if (this.admin) {
      this.admin.close();
      await unlink(this.settings.adminSocket).catch(() => undefined);
    }
    await this.turn;
    await this.backend?.close();
    await this.registry.close();
  }
}

function blackholesOf({ subnet4, subnet6 }: LeaseSubnets): Route[] {
  return [subnet4, subnet6].flatMap((prefix) => (prefix ? [{ prefix }] : []));
}
