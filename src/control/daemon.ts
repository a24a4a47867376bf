/** The daemon: start order, the store's changes while it runs, stop order. */
import { unlink } from 'node:fs/promises';
import type http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Addon, loadAddon } from '../shared/addon.ts';
import { formatAddress, formatMac, formatPrefix, type Mac, type Words } from '../shared/address.ts';
import { sumBlocks } from '../shared/counters.ts';
import { messageOf } from '../shared/errors.ts';
import { FEATURE } from '../shared/layout.ts';
import { TABLE_BYTES } from '../shared/table.ts';
import { programVersion } from '../shared/version.ts';
import type { LinkTask } from '../shared/worker-task.ts';
import { type Pages, startAdmin } from './admin.ts';
import { type NetworkConfig, parseNetworkConfig } from './config/network-config.ts';
import { featureNames, type Settings } from './config/settings.ts';
import { configureDevice } from './host/device.ts';
import { type ExternalInterface, findExternalInterface } from './host/external-interface.ts';
import { checkDevices, checkHost } from './host/preflight.ts';
import { acquireLease, parseLeases } from './lease/acquire.ts';
import { LeaseKeeper } from './lease/keep.ts';
import type { Lease, LeaseAttributes } from './lease/lease.ts';
import { type Log, RepeatFilter } from './log.ts';
import { leasesToPeers, type Peer } from './peers.ts';
import { closePorts, deviceName, type FamilyPorts, openPorts } from './ports.ts';
import { TablePublisher } from './publish.ts';
import { randomMac, readState, writeState } from './state.ts';
import { FileStore } from './store/file.ts';
import type { Snapshot } from './store/store.ts';
import { formatSubnetEnv, readPreviousSubnets, writeFileAtomically } from './subnet-env.ts';
import { Supervisor, type TaskSpec } from './supervisor.ts';
import { TableGuard } from './table-guard.ts';
import { Uplink } from './uplink.ts';

const CONFIG_RETRY_MS = 1_000;
const UPLINK_CHECK_MS = 1_000;
/** Bytes in front of the inner packet, outer IP header included. */
const OVERHEAD = { vxlan4: 50, vxlan6: 70, udp: 28 } as const;
const NO_MAC: Mac = { high: 0, low: 0 };
const NO_ADDRESS: Words = [0, 0, 0, 0];

/** Everything a running daemon holds. */
export class Daemon {
  private readonly settings: Settings;
  private readonly log: Log;
  private readonly store: FileStore;
  private readonly addon: Addon;
  private readonly guard = new TableGuard();
  private readonly repeats = new RepeatFilter();
  private readonly abort = new AbortController();
  private readonly startedAt = new Date();
  private config!: NetworkConfig;
  private external!: ExternalInterface;
  private keeper!: LeaseKeeper;
  private supervisor!: Supervisor;
  private publisher!: TablePublisher;
  private ports: FamilyPorts[] = [];
  private uplink: Uplink | undefined;
  private macs: Record<string, Mac> = {};
  private admin: http.Server | undefined;
  private peers: Peer[] = [];
  private held = 0;
  private again: NodeJS.Timeout | undefined;
  private uplinkCheck: NodeJS.Timeout | undefined;
  private storeState = { ok: true, message: '', lastEventAt: new Date() };

  constructor(settings: Settings, log: Log) {
    this.settings = settings;
    this.log = log;
    this.store = new FileStore(settings.storeFolder);
    this.addon = loadAddon();
  }

  /** Resolves when packets are forwarded. Throws WeftError; the caller then calls {@link stop}. */
  async start(): Promise<void> {
    await checkHost();
    this.config = await this.readConfig();
    this.external = await findExternalInterface({
      interfaces: this.settings.interfaces,
      patterns: this.settings.interfacePatterns,
      canReach: this.settings.canReach,
      publicIp: this.settings.publicIp,
      publicIpv6: this.settings.publicIpv6,
      wants4: this.config.ipv4 !== undefined,
      wants6: this.config.ipv6 !== undefined,
    });
    this.log.info(
      { mtu: this.external.mtu },
      `underlay ${this.external.name}: ${this.external.reason}`,
    );
    const { backend } = this.config;
    const names = this.families().map((family) => deviceName(backend, family));
    await checkDevices(names, backend.port);
    const state = await readState(this.settings.stateFolder);
    const previous = await readPreviousSubnets(this.settings.subnetFile);

    // ---- above: only reads; below: changes this machine and the store ----

    this.macs = this.chooseMacs(state.macs);
    await this.openAllPorts();
    await writeState(this.settings.stateFolder, { macs: this.macs });
    const lease = await acquireLease(this.store, this.config, this.attributes(), previous);
    this.log.info({ key: lease.key }, 'lease acquired');
    this.keeper = new LeaseKeeper(this.store, lease, this.settings.renewMarginMs, this.log);
    await this.startForwarding(lease);
    for (const ports of this.ports) await this.setUpDevice(ports, lease);
    await this.writeSubnetEnv(lease);
    this.admin = await startAdmin(this.settings.adminSocket, this.pages());
    this.store.watch(
      (snapshot) => void this.apply(snapshot),
      (error) => this.storeAway(error),
      this.abort.signal,
    );
    if (this.uplink)
      this.uplinkCheck = setInterval(() => void this.checkUplink(), UPLINK_CHECK_MS).unref();
    this.addon.notify('READY=1');
    this.log.info({ peers: this.peers.length }, 'ready');
  }

  /** Waits for a config that can be used: a missing or bad one can be repaired while we wait. */
  private async readConfig(): Promise<NetworkConfig> {
    for (;;) {
      try {
        const text = await this.store.readConfig();
        if (text !== undefined) return parseNetworkConfig(text);
        throw new Error(
          `${this.store.name} has no network config yet; write ${this.settings.storeFolder}/config`,
        );
      } catch (error) {
        const message = `${messageOf(error)}; trying again every second`;
        if (this.repeats.isNew(message)) this.log.error(message);
      }
      await sleep(CONFIG_RETRY_MS, undefined, { signal: this.abort.signal });
    }
  }

  private families(): (4 | 6)[] {
    return [...(this.config.ipv4 ? [4 as const] : []), ...(this.config.ipv6 ? [6 as const] : [])];
  }

  private chooseMacs(known: Record<string, Mac>): Record<string, Mac> {
    if (this.config.backend.type === 'udp') return {};
    const names = this.families().map((family) => deviceName(this.config.backend, family));
    return Object.fromEntries(names.map((name) => [name, known[name] ?? randomMac()]));
  }

  private attributes(): LeaseAttributes {
    const { backend } = this.config;
    const attributes: LeaseAttributes = { backendType: backend.type === 'vxlan' ? 'vxlan' : '' };
    if (this.external.public4) attributes.publicIp4 = this.external.public4;
    if (this.external.public6) attributes.publicIp6 = this.external.public6;
    if (backend.type !== 'vxlan') return attributes;
    const data = (family: 4 | 6): object => ({
      VNI: backend.vni,
      VtepMAC: formatMac(this.macs[deviceName(backend, family)] as Mac),
    });
    if (this.config.ipv4) attributes.backendData = data(4);
    if (this.config.ipv6) attributes.backendV6Data = data(6);
    return attributes;
  }

  private async openAllPorts(): Promise<void> {
    const { workers, features } = this.settings;
    for (const family of this.families()) {
      const local = this.localAddress(family);
      this.ports.push(
        await openPorts(this.addon, this.config.backend, family, local, workers, features),
      );
    }
    const { backend } = this.config;
    if (backend.type === 'vxlan' && (features & FEATURE.tunnelGso) !== 0)
      this.uplink = await Uplink.open(this.addon, this.log, backend.vni, workers);
    const found = this.features();
    this.log.info(
      { offloads: featureNames(found), checksum: this.addon.checksumName() },
      'data plane opened',
    );
  }

  /** FEATURE bits that every worker has. */
  private features(): number {
    const found = this.ports[0]?.workers[0]?.features ?? 0;
    return this.uplink ? found | FEATURE.tunnelGso : found;
  }

  private localAddress(family: 4 | 6): Words {
    return (family === 4 ? this.external.address4 : this.external.address6) as Words;
  }

  /** MTU of a family's device. */
  private deviceMtu(family: 4 | 6): number {
    const { backend } = this.config;
    if (backend.type === 'udp') return this.external.mtu - OVERHEAD.udp;
    const outer = backend.mtu ?? this.external.mtu;
    return outer - (family === 4 ? OVERHEAD.vxlan4 : OVERHEAD.vxlan6);
  }

  private async startForwarding(lease: Lease): Promise<void> {
    const table = new SharedArrayBuffer(TABLE_BYTES);
    this.supervisor = new Supervisor(this.addon, this.log, this.settings.workers);
    this.publisher = new TablePublisher(table, () => this.supervisor.seenGenerations());
    for (const { family, device } of this.ports) {
      const overlay = (family === 4 ? lease.subnet4 : lease.subnet6)?.words ?? NO_ADDRESS;
      const mac = this.macs[device] ?? NO_MAC;
      this.uplink?.setNode(family, { underlay: this.localAddress(family), overlay, mac });
    }
    await this.apply(await this.store.list());
    const { backend } = this.config;
    const encap: TaskSpec['encap'] =
      backend.type === 'vxlan'
        ? { kind: 'vxlan', vni: backend.vni, port: backend.port }
        : { kind: 'udp', port: backend.port };
    const specs = Array.from(
      { length: this.settings.workers },
      (_, index): TaskSpec => ({
        cpu: -1,
        table,
        encap,
        sourceCheck: this.settings.sourceCheck,
        links: this.ports.map((ports) => this.linkTask(ports, index, lease)),
      }),
    );
    this.supervisor.start(specs);
  }

  private linkTask(ports: FamilyPorts, worker: number, lease: Lease): LinkTask {
    const { family, device } = ports;
    const own = ports.workers[worker];
    const range = family === 4 ? this.config.ipv4 : this.config.ipv6;
    const subnet = family === 4 ? lease.subnet4 : lease.subnet6;
    if (!own || !range || !subnet) throw new Error(`no lease or ports for IPv${family}`);
    return {
      family,
      tunFd: own.tunFd,
      udpFd: own.udpFd,
      sendFds: own.sendFds,
      sendPorts: own.sendPorts,
      tapFd: this.uplink?.fds[worker] ?? -1,
      tapMac: this.uplink?.mac ?? NO_MAC,
      features: this.uplink ? own.features | FEATURE.tunnelGso : own.features,
      tunnelMtu: this.deviceMtu(family),
      podMtu: this.podMtu(),
      network: range.network,
      ownSubnet: subnet,
      deviceAddress: subnet.words,
      underlayAddress: this.localAddress(family),
      ownMac: this.macs[device] ?? NO_MAC,
    };
  }

  private async setUpDevice(ports: FamilyPorts, lease: Lease): Promise<void> {
    const { family, device: name } = ports;
    const link = this.linkTask(ports, 0, lease);
    const { network, deviceAddress: address, tunnelMtu: mtu } = link;
    for (const warning of await configureDevice({ name, family, address, network, mtu }))
      this.log.warn(warning);
    this.log.info({ mtu, subnet: formatPrefix(link.ownSubnet) }, `device ${name} is up`);
  }

  private async writeSubnetEnv(lease: Lease): Promise<void> {
    const text = formatSubnetEnv(this.config, lease, this.podMtu());
    await writeFileAtomically(this.settings.subnetFile, text, 0o644);
  }

  /** What pods are told: the smallest of the devices'. */
  private podMtu(): number {
    return Math.min(...this.families().map((family) => this.deviceMtu(family)));
  }

  /** A fresh list from the store: leases → peers → guard → table → workers. */
  private async apply(snapshot: Snapshot): Promise<void> {
    if (!this.storeState.ok) this.log.info('the store is back');
    this.storeState = { ok: true, message: '', lastEventAt: new Date() };
    try {
      const ownKeyPresent = this.keeper.observe(snapshot);
      const { peers, skipped } = leasesToPeers(
        parseLeases(snapshot),
        this.keeper.lease,
        this.config,
      );
      for (const { key, why } of skipped) {
        if (this.repeats.isNew(`${key} ${why}`)) this.log.warn({ key }, `lease ignored: ${why}`);
      }
      const guarded = this.guard.apply(peers, ownKeyPresent, Date.now());
      this.applyAgainAt(guarded.againAtMs, snapshot);
      if (guarded.held > 0)
        this.log.warn({ held: guarded.held }, 'leases vanished: their peers are kept for now');
      this.peers = this.uplink ? await this.uplink.mark(guarded.peers) : guarded.peers;
      this.held = guarded.held;
      await this.publisher.publish(this.peers);
      this.supervisor.wakeAll();
      this.log.info({ peers: guarded.peers.length }, 'route table published');
    } catch (error) {
      this.log.error(`route table not changed: ${messageOf(error)}`);
    }
  }

  /** Routes, devices and firewall rules change without a word in the store. */
  private async checkUplink(): Promise<void> {
    if (!this.uplink?.isDue(Date.now())) return;
    try {
      const marked = await this.uplink.mark(this.peers);
      if (marked.every((peer, i) => peer.tunnelGso === this.peers[i]?.tunnelGso)) return;
      this.peers = marked;
      await this.publisher.publish(marked);
      this.supervisor.wakeAll();
    } catch (error) {
      this.log.error(`tunnel GSO not checked: ${messageOf(error)}`);
    }
  }

  /** Held peers end by themselves, without a change in the store. */
  private applyAgainAt(atMs: number | undefined, snapshot: Snapshot): void {
    clearTimeout(this.again);
    if (atMs === undefined) return;
    this.again = setTimeout(() => void this.apply(snapshot), Math.max(100, atMs - Date.now()));
  }

  /** The last table stays in force for as long as the store is away. */
  private storeAway(error: Error): void {
    clearTimeout(this.again);
    this.guard.storeDoubtful(Date.now());
    if (this.storeState.ok)
      this.log.error(`${error.message}; forwarding goes on with the last table`);
    this.storeState = {
      ok: false,
      message: error.message,
      lastEventAt: this.storeState.lastEventAt,
    };
  }

  /** SIGHUP: looks at the store again; forwarding goes on meanwhile. What only a restart can change is said. */
  async reload(): Promise<void> {
    if (!this.supervisor) return this.log.warn('reload: the daemon is still starting; ignored');
    try {
      const text = await this.store.readConfig();
      if (
        text !== undefined &&
        JSON.stringify(parseNetworkConfig(text)) !== JSON.stringify(this.config)
      ) {
        this.log.warn('the network config changed; restart weftd to use it');
      }
      await this.apply(await this.store.list());
      this.log.info('reloaded');
    } catch (error) {
      this.log.error(`reload: ${messageOf(error)}`);
    }
  }

  /** Ends everything this process holds; the lease stays, as flannel leaves it. */
  async stop(): Promise<void> {
    this.abort.abort();
    clearTimeout(this.again);
    clearInterval(this.uplinkCheck);
    this.keeper?.stop();
    this.addon.notify('STOPPING=1');
    if (this.admin) {
      this.admin.close();
      await unlink(this.settings.adminSocket).catch(() => undefined);
    }
    await this.supervisor?.stop();
    closePorts(this.addon, this.ports);
    this.uplink?.close();
    await this.store.close();
  }

  private pages(): Pages {
    const pages: Record<string, (query: URLSearchParams) => unknown> = {
      '/status': () => this.status(),
      '/peers': () => ({ peers: this.peers.map(peerJson) }),
    };
    if (process.env['WEFT_FAULTS'] === '1') {
      pages['/fault'] = (query) => {
        this.supervisor.fail(Number(query.get('worker')));
        return { failed: query.get('worker') };
      };
    }
    return pages;
  }

  private status(): object {
    const { lease } = this.keeper;
    const totals = sumBlocks(this.supervisor.counterBlocks());
    const workers = this.supervisor.status();
    return {
      healthy: this.storeState.ok && workers.every((worker) => worker.state === 'running'),
      version: programVersion(),
      pid: process.pid,
      startedAt: this.startedAt.toISOString(),
      node: {
        interface: this.external.name,
        publicIp: this.external.public4 ? formatAddress(this.external.public4) : null,
        publicIpv6: this.external.public6 ? formatAddress(this.external.public6) : null,
      },
      backend: this.config.backend.type,
      devices: this.ports.map(({ device, family }) => ({
        device,
        family,
        mtu: this.deviceMtu(family),
      })),
      lease: {
        key: lease.key,
        expiresAt:
          lease.expiresAtMs === undefined ? null : new Date(lease.expiresAtMs).toISOString(),
      },
      mtu: this.podMtu(),
      store: {
        name: this.store.name,
        ...this.storeState,
        lastEventAt: this.storeState.lastEventAt.toISOString(),
      },
      peers: { total: this.peers.length, held: this.held },
      offloads: featureNames(this.features()),
      tunnelGso: this.uplink?.summary ?? null,
      workers,
      ...totals,
    };
  }
}

function peerJson(peer: Peer): object {
  return {
    key: peer.key,
    family: peer.family,
    subnet: formatPrefix(peer.subnet),
    publicIp: formatAddress(peer.address),
    port: peer.port,
    mac: peer.mac.high === 0 && peer.mac.low === 0 ? null : formatMac(peer.mac),
  };
}
