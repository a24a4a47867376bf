/** vxlan and udp: the userspace data plane. Devices, sockets and workers; which peers it sends to. */

import { isOwnAddress } from '../../cluster/lease/acquire.ts';
import type { LeaseAttributes, LeaseSubnets } from '../../cluster/lease/lease.ts';
import { decodeVxlanData } from '../../cluster/lease/value.ts';
import { deviceName, type TunnelConfig } from '../../cluster/network-config.ts';
import type { Peer } from '../../cluster/peers.ts';
import {
  configureDevice,
  type DeviceSetup,
  lookAtDevice,
  queuePackets,
} from '../../host/device.ts';
import { egressOf } from '../../host/egress.ts';
import { exec } from '../../host/exec.ts';
import type { ExternalInterface } from '../../host/external-interface.ts';
import { checkDevices, checkTun, type Leftover } from '../../host/preflight.ts';
import { sumBlocks, type Totals } from '../../memory/counters.ts';
import { FEATURE } from '../../memory/layout.ts';
import { TABLE_BYTES } from '../../memory/table.ts';
import type { LinkTask } from '../../memory/worker-task.ts';
import { featureNames } from '../../options/settings.ts';
import {
  formatAddress,
  formatMac,
  formatPrefix,
  type Mac,
  type Prefix,
  parseMac,
  type Words,
} from '../../shared/address.ts';
import { messageOf } from '../../shared/errors.ts';
import { overheadBytes } from '../../wire/overhead.ts';
import { Observation } from '../observe/observation.ts';
import {
  closePorts,
  type FamilyPorts,
  giveBackPorts,
  openPorts,
  persistDevices,
  widenSockets,
} from '../plane/ports.ts';
import { TablePublisher } from '../plane/publish.ts';
import { randomMac, readState, writeState } from '../plane/state.ts';
import { Supervisor, type TaskSpec, type WorkerFault } from '../plane/supervisor.ts';
import { Uplink } from '../plane/uplink.ts';
import {
  type Backend,
  type BackendContext,
  type BackendStatus,
  familiesOf,
  publicAttributes,
  type TableStatus,
  underlayAddress,
} from './backend.ts';

const UPLINK_CHECK_MS = 1_000;
const NO_MAC: Mac = { high: 0, low: 0 };

export class TunnelBackend implements Backend {
  readonly observation: Observation;
  private readonly context: BackendContext;
  private readonly config: TunnelConfig;
  private readonly families: readonly (4 | 6)[];
  private macs: Record<string, Mac> = {};
  private ports: FamilyPorts[] = [];
  private uplink: Uplink | undefined;
  private supervisor: Supervisor | undefined;
  private publisher: TablePublisher | undefined;
  /** counters of workers that earlier sets of ports had, worker by worker: totals never run backwards */
  private past: Float64Array[] = [];
  private table: TableStatus | null = null;
  private subnets: LeaseSubnets = {};
  private peers: readonly Peer[] = [];
  private uplinkCheck: NodeJS.Timeout | undefined;

  constructor(context: BackendContext, config: TunnelConfig) {
    this.context = context;
    this.config = config;
    this.observation = new Observation(context.settings.workers);
    this.families = familiesOf(context.config);
  }

  /** Takes the place of a stock flannel's vxlan devices, and their MACs, which its peers know. */
  async open(): Promise<void> {
    await checkTun();
    const { settings, log, addon, fds } = this.context;
    // Its threads load their program while the rest is being prepared.
    this.supervisor = new Supervisor(addon, log, settings.workers);
    if (this.config.type === 'vxlan' && this.config.gbp)
      log.warn('Backend.GBP: group policy ids are ignored, because a TUN device carries no marks');
    const leftovers = await checkDevices(this.deviceNames(), this.config.port, fds.devices());
    const state = await readState(settings.stateFolder);
    this.macs = this.chooseMacs(state.macs, leftovers);
    for (const { name } of leftovers) {
      await exec('ip', ['link', 'delete', 'dev', name]);
      log.warn(
        `removed the kernel vxlan device ${name} and took over its MAC; stop flanneld if it still runs`,
      );
    }
    await this.openPorts();
    await writeState(settings.stateFolder, { macs: { ...state.macs, ...this.macs } });
  }

  private deviceNames(): string[] {
    return this.families.map((family) => deviceName(this.config, family));
  }

  /** That of the device whose place we take, else that of the last run, unless another node has it: state folders get cloned. */
  private chooseMacs(
    known: Record<string, Mac>,
    leftovers: readonly Leftover[],
  ): Record<string, Mac> {
    if (this.config.type === 'udp') return {};
    const taken = this.macsOfOthers();
    const choose = (name: string): Mac => {
      const leftover = leftovers.find((candidate) => candidate.name === name);
      const mac = (leftover && parseMac(leftover.mac)) ?? known[name];
      if (mac && !taken.has(formatMac(mac))) return mac;
      if (mac)
        this.context.log.warn(
          `${name}: another node has the MAC ${formatMac(mac)}; taking a new one`,
        );
      return randomMac();
    };
    return Object.fromEntries(this.deviceNames().map((name) => [name, choose(name)]));
  }

  private macsOfOthers(): Set<string> {
    const own = publicAttributes(this.context.external, 'vxlan');
    const others = this.context.leases.filter((lease) => !isOwnAddress(own, lease.attributes));
    const data = others.flatMap(({ attributes: a }) => [a.backendData, a.backendV6Data]);
    const macs = data.flatMap((value) => decodeVxlanData(value)?.mac ?? []);
    return new Set(macs.map(formatMac));
  }

  async attributes(): Promise<LeaseAttributes> {
    const { config } = this;
    if (config.type === 'udp') return publicAttributes(this.context.external, '');
    const attributes = publicAttributes(this.context.external, 'vxlan');
    const data = (family: 4 | 6): object => ({
      VNI: config.vni,
      VtepMAC: formatMac(this.macs[deviceName(config, family)] as Mac),
    });
    if (this.families.includes(4)) attributes.backendData = data(4);
    if (this.families.includes(6)) attributes.backendV6Data = data(6);
    return attributes;
  }

  private async openPorts(): Promise<void> {
    const { addon, settings, external, log, fds } = this.context;
    const { workers, features } = settings;
    for (const family of this.families) {
      const local = underlayAddress(external, family);
      const wishes = { backend: this.config, family, local, workers, features };
      this.ports.push(await openPorts(addon, fds, wishes));
    }
    const unfit = fds.discardRest();
    if (unfit.length > 0) log.info({ unfit }, 'descriptors of the run before that are of no use');
    if (this.config.type === 'vxlan' && (features & FEATURE.tunnelGso) !== 0)
      this.uplink = await Uplink.open(addon, log, this.config.vni, workers);
    const offloads = featureNames(this.features());
    log.info({ offloads, checksum: addon.checksumName() }, 'data plane opened');
  }

  /** FEATURE bits that every worker has. */
  private features(): number {
    const found = this.ports[0]?.workers[0]?.features ?? 0;
    return this.uplink ? found | FEATURE.tunnelGso : found;
  }

  async start(subnets: LeaseSubnets, peers: readonly Peer[]): Promise<void> {
    this.subnets = subnets;
    await this.startForwarding(peers);
    this.uplinkCheck = setInterval(() => void this.checkUplink(), UPLINK_CHECK_MS).unref();
  }

  private async startForwarding(peers: readonly Peer[]): Promise<void> {
    const { addon, log, settings } = this.context;
    const table = new SharedArrayBuffer(TABLE_BYTES);
    const supervisor = this.supervisor ?? new Supervisor(addon, log, settings.workers);
    this.supervisor = supervisor;
    this.publisher = new TablePublisher(
      table,
      () => supervisor.seenGenerations(),
      (next) => this.observation.ledger.assign(next),
    );
    for (const { family, device } of this.ports) {
      const underlay = underlayAddress(this.context.external, family);
      const mac = this.macs[device] ?? NO_MAC;
      this.uplink?.setNode(family, { underlay, overlay: this.ownSubnet(family).words, mac });
    }
    this.peers = peers;
    await this.publishTable();
    supervisor.start(
      Array.from({ length: settings.workers }, (_, index) => this.taskOf(index, table)),
    );
    await this.setUpDevices();
    await this.routePeers();
    persistDevices(addon, this.ports);
    if (this.uplink) await this.publish(await this.uplink.mark(peers));
  }

  private taskOf(index: number, table: SharedArrayBuffer): TaskSpec {
    const { config } = this;
    return {
      cpu: -1,
      table,
      observation: this.observation.memoryOf(index),
      encap:
        config.type === 'vxlan'
          ? { kind: 'vxlan', vni: config.vni, port: config.port, gbp: config.gbp }
          : { kind: 'udp', port: config.port },
      sourceCheck: this.context.settings.sourceCheck,
      links: this.ports.map((ports) => this.linkTask(ports, index)),
    };
  }

  private linkTask(ports: FamilyPorts, worker: number): LinkTask {
    const { family, device } = ports;
    const own = ports.workers[worker];
    if (!own) throw new Error(`no ports for worker ${worker}`);
    const subnet = this.ownSubnet(family);
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
      network: this.network(family),
      ownSubnet: subnet,
      deviceAddress: subnet.words,
      underlayAddress: underlayAddress(this.context.external, family),
      ownMac: this.macs[device] ?? NO_MAC,
    };
  }

  private ownSubnet(family: 4 | 6): Prefix {
    const subnet = family === 4 ? this.subnets.subnet4 : this.subnets.subnet6;
    if (!subnet) throw new Error(`no lease for IPv${family}`);
    return subnet;
  }

  private network(family: 4 | 6): Prefix {
    const { ipv4, ipv6 } = this.context.config;
    const range = family === 4 ? ipv4 : ipv6;
    if (!range) throw new Error(`no IPv${family} in the network config`);
    return range.network;
  }

  private setUpOf({ family, device }: FamilyPorts): DeviceSetup {
    const address: Words = this.ownSubnet(family).words;
    const queues = this.context.settings.workers;
    return {
      name: device,
      family,
      address,
      mtu: this.deviceMtu(family),
      queuePackets: queuePackets(queues),
    };
  }

  private async setUpDevices(): Promise<void> {
    const { log } = this.context;
    for (const ports of this.ports) {
      const setup = this.setUpOf(ports);
      for (const warning of await configureDevice(setup)) log.warn(warning);
      const subnet = formatPrefix(this.ownSubnet(ports.family));
      log.info({ mtu: setup.mtu, subnet }, `device ${setup.name} is up`);
    }
  }

  /** One route for the whole overlay, because the workers look up the peer; with DirectRouting more special ones for neighbours. */
  private async routePeers(): Promise<string> {
    const { routes } = this.context;
    const overlay = this.ports.map(({ family, device }) => ({
      prefix: this.network(family),
      device,
      ...(family === 4 && { source: this.ownSubnet(4).words }),
    }));
    routes.set('overlay', overlay);
    if (this.config.type === 'vxlan' && this.config.directRouting) {
      const egress = await egressOf(this.peers.map((peer) => peer.address));
      const direct = this.peers.flatMap(({ subnet, address }) => {
        const way = egress.get(formatAddress(address));
        return way?.isDirect ? [{ prefix: subnet, gateway: address, device: way.device }] : [];
      });
      routes.set('direct', direct);
    }
    return routes.sync();
  }

  async apply(peers: readonly Peer[]): Promise<void> {
    // Workers first: whether super-packets may go to new peers is found out behind that.
    await this.publish(this.uplink ? this.uplink.recall(peers) : peers);
    if (this.config.type === 'vxlan' && this.config.directRouting) await this.routePeers();
  }

  private async publish(peers: readonly Peer[]): Promise<void> {
    this.peers = peers;
    await this.publishTable();
    this.supervisor?.wakeAll();
  }

  private async publishTable(): Promise<void> {
    const generation = await this.publisher?.publish(this.peers);
    if (generation !== undefined)
      this.table = { generation, publishedAt: new Date().toISOString() };
  }

  /** Routes, devices and firewall rules change without a word in the store. */
  private async checkUplink(): Promise<void> {
    const { uplink, peers } = this;
    if (!uplink?.isDue(peers, Date.now())) return;
    try {
      const marked = await uplink.mark(peers);
      if (this.uplink !== uplink || this.peers !== peers) return; // overtaken; the next check sees the new ones
      if (marked.some((peer, i) => peer.tunnelGso !== peers[i]?.tunnelGso))
        await this.publish(marked);
    } catch (error) {
      this.context.log.error(`tunnel GSO not checked: ${messageOf(error)}`);
    }
  }

  async heal(): Promise<string> {
    if (!this.isWhole()) {
      await this.rebuild();
      return 'ports were missing: devices, sockets and workers made anew';
    }
    const done: string[] = [];
    for (const ports of this.ports) {
      const setup = this.setUpOf(ports);
      const state = await lookAtDevice(setup);
      if (state === 'missing') {
        await this.rebuild();
        return `device ${setup.name} was gone: made anew`;
      }
      if (state === 'right') continue;
      await configureDevice(setup);
      done.push(`device ${setup.name} was changed: set up again`);
    }
    const routes = await this.routePeers();
    return [...done, routes].filter(Boolean).join('; ');
  }

  /** False after a rebuild that failed, for example because the underlay's address could not be used yet. */
  private isWhole(): boolean {
    return this.supervisor !== undefined && this.ports.length === this.families.length;
  }

  async move(external: ExternalInterface): Promise<void> {
    const before = this.boundTo();
    this.context.external = external;
    if (this.boundTo() !== before) await this.rebuild();
  }

  /** What sockets, devices and workers were made with: an MTU that the config fixes is no reason to make them anew. */
  private boundTo(): string {
    const { external } = this.context;
    const bound = this.families.map((family) => {
      const address = underlayAddress(external, family);
      return `${formatAddress(address)} ${this.deviceMtu(family)}`;
    });
    return bound.join();
  }

  /** New workers with the same lease and peers, and new devices and sockets where the old ones are gone or do not fit any more. */
  private async rebuild(): Promise<void> {
    const { addon, fds } = this.context;
    giveBackPorts(addon, fds, await this.stopForwarding());
    await this.openPorts();
    await this.startForwarding(this.peers);
  }

  /** MTU of a family's device. */
  private deviceMtu(family: 4 | 6): number {
    const { mtu } = this.context.external;
    const fixed = this.config.type === 'vxlan' ? this.config.mtu : undefined;
    return (fixed ?? mtu) - overheadBytes(this.config.type, family);
  }

  podMtu(): number {
    return Math.min(...this.families.map((family) => this.deviceMtu(family)));
  }

  isForwarding(): boolean {
    const workers = this.supervisor?.status() ?? [];
    return workers.length > 0 && workers.every((worker) => worker.state === 'running');
  }

  status(): BackendStatus {
    return {
      devices: this.ports.map(({ device, family }) => ({
        device,
        family,
        mtu: this.deviceMtu(family),
        mac: this.config.type === 'udp' ? null : formatMac(this.macs[device] ?? NO_MAC),
      })),
      offloads: featureNames(this.features()),
      tunnelGso: this.uplink?.summary ?? null,
      workers: this.supervisor?.status() ?? [],
      table: this.table,
      totals: sumBlocks(this.blocks()),
    };
  }

  private blocks(): Float64Array[] {
    return [...this.past, ...(this.supervisor?.counterBlocks() ?? [])];
  }

  workerTotals(): Totals[] {
    const { workers } = this.context.settings;
    const blocks = this.blocks();
    return Array.from({ length: workers }, (_, worker) =>
      sumBlocks(blocks.filter((__, i) => i % workers === worker)),
    );
  }

  failWorker(index: number, fault: WorkerFault): void {
    this.supervisor?.fail(index, fault);
  }

  async close(): Promise<void> {
    clearInterval(this.uplinkCheck);
    this.observation.captures.close();
    // What arrives before the next process reads waits in queues and sockets; without a store they end with us.
    if (this.context.fds.outlivesUs) widenSockets(this.context.addon, this.ports);
    closePorts(this.context.addon, await this.stopForwarding());
  }

  /** The ports that nobody uses any more. */
  private async stopForwarding(): Promise<FamilyPorts[]> {
    const { supervisor, uplink, ports } = this;
    this.supervisor = undefined;
    this.uplink = undefined;
    this.ports = [];
    await supervisor?.stop();
    this.past.push(...(supervisor?.counterBlocks() ?? []));
    uplink?.close();
    return ports;
  }
}
