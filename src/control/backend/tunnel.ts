/** vxlan and udp: the userspace data plane with its devices and routes. What forwards is plane/plane.ts. */
import { tunnelKindOf } from '../../cluster/kinds/all.ts';
import type { Tunnel, TunnelKind } from '../../cluster/kinds/kind.ts';
import type { LeaseAttributes, LeaseSubnets } from '../../cluster/lease/lease.ts';
import { type Peer, type PeerChange, peerId } from '../../cluster/peers.ts';
import {
  configureDevice,
  type DeviceSetup,
  lookAtDevice,
  queuePackets,
  renameDevice,
} from '../../host/device.ts';
import { egressOf } from '../../host/egress.ts';
import { exec } from '../../host/exec.ts';
import { type ExternalInterface, lookAtLinks } from '../../host/external-interface.ts';
import type { AddressedLink } from '../../host/ip-json.ts';
import type { News } from '../../host/kernel-news.ts';
import { localAddresses } from '../../host/local-addresses.ts';
import { comesBack, ownedBySomebody } from '../../host/other-flannel.ts';
import { checkDevices, checkTun, type Leftover } from '../../host/preflight.ts';
import type { Route } from '../../host/routes.ts';
import type { Totals } from '../../memory/counters.ts';
import {
  formatAddress,
  formatMac,
  formatPrefix,
  NO_MAC,
  type Prefix,
  prefixContains,
} from '../../shared/address.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Observation } from '../observe/observation.ts';
import { type Binding, type Link, Plane } from '../plane/plane.ts';
import { type NodeState, readState, writeState } from '../plane/state.ts';
import type { WorkerFault } from '../plane/supervisor.ts';
import {
  type Backend,
  type BackendContext,
  type BackendStatus,
  familiesOf,
  publicAttributes,
  underlayAddress,
} from './backend.ts';
import { chooseMacs, type Macs, macsIn, macsOfOthers } from './vtep.ts';

export class TunnelBackend implements Backend {
  private readonly context: BackendContext;
  private readonly kind: TunnelKind;
  private readonly tunnel: Tunnel;
  private readonly families: readonly (4 | 6)[];
  private readonly plane: Plane;
  private macs: Macs = {};
  private subnets: LeaseSubnets = {};
  private readonly peers = new Map<string, Peer>();
  /** how many of them have their own address inside Network, by family */
  private readonly nodesInside = { 4: 0, 6: 0 };
  /** routes past the overlay, by {@link peerId} */
  private direct = new Map<string, Route>();

  /** The plane's threads begin to load their program, while the rest is being prepared. */
  constructor(context: BackendContext) {
    this.context = context;
    this.kind = tunnelKindOf(context.config.backend);
    this.tunnel = this.kind.tunnel(context.config.backend);
    this.families = familiesOf(context.config);
    const { addon, log, fds, settings } = context;
    this.plane = new Plane({ addon, log, fds, settings, tunnel: this.tunnel });
  }

  get observation(): Observation {
    return this.plane.observation;
  }

  // ---- the start ----

  /** Takes the place of a stock flannel's vxlan devices, and their MACs, which its peers know. */
  async open(): Promise<void> {
    await checkTun();
    const { settings, log, fds } = this.context;
    for (const warning of this.tunnel.warnings) log.warn(warning);
    const names = this.families.map((family) => this.deviceName(family));
    const leftovers = await checkDevices(names, this.tunnel.encap.port, fds.devices());
    const state = await readState(settings.stateFolder);
    this.macs = this.chooseMacs(names, leftovers, state.macs);
    await this.replace(leftovers, state);
    await this.plane.open(this.bindings());
    await this.keep({ macs: { ...state.macs, ...this.macs } });
  }

  /** A state folder that is full or read-only is no reason to cut pods off: peers learn another MAC from the lease. */
  private async keep(state: NodeState): Promise<void> {
    const { settings, log } = this.context;
    try {
      await writeState(settings.stateFolder, state);
    } catch (error) {
      log.warn(`state can't be written, the next start has other MACs: ${messageOf(error)}`);
    }
  }

  /** A device that comes back has an owner: it is remembered, so that the next start does not take it away once more. */
  private async replace(leftovers: readonly Leftover[], state: Required<NodeState>): Promise<void> {
    const { log } = this.context;
    if (leftovers.length === 0) return;
    const owned = leftovers.find(({ mac }) => state.owned.includes(mac));
    if (owned) throw await ownedBySomebody(owned.name);
    for (const { name } of leftovers) {
      await exec('ip', ['link', 'delete', 'dev', name]);
      log.warn(`removed the kernel vxlan device ${name} and took over its MAC`);
    }
    const returned = await comesBack(leftovers.map(({ name }) => name));
    if (!returned) return;
    await this.keep({ ...state, owned: [returned.address ?? ''] });
    throw await ownedBySomebody(returned.ifname);
  }

  private chooseMacs(names: readonly string[], leftovers: readonly Leftover[], known: Macs): Macs {
    const { external, leases, log } = this.context;
    if (!this.tunnel.vtep) return {};
    const own = publicAttributes(external, this.kind.publishes);
    const taken = macsOfOthers(this.tunnel.vtep, leases, own);
    const published = macsIn(this.tunnel.vtep, names, this.families, this.context.published);
    return chooseMacs(names, leftovers, { ...known, ...published }, taken, log);
  }

  async attributes(): Promise<LeaseAttributes> {
    const attributes = publicAttributes(this.context.external, this.kind.publishes);
    const { vtep } = this.tunnel;
    if (!vtep) return attributes;
    const data = (family: 4 | 6): object => vtep.leaseData(this.macOf(family));
    if (this.families.includes(4)) attributes.backendData = data(4);
    if (this.families.includes(6)) attributes.backendV6Data = data(6);
    return attributes;
  }

  async start(subnets: LeaseSubnets, peers: readonly Peer[]): Promise<void> {
    this.subnets = subnets;
    for (const peer of peers) this.note({ id: peerId(peer), before: undefined, after: peer });
    this.learnAddresses(await lookAtLinks());
    await this.startForwarding();
  }

  private async startForwarding(): Promise<void> {
    await this.plane.start(this.links(), [...this.peers.values()]);
    await this.setUpDevices();
    await this.routePeers();
    await this.plane.settle();
  }

  // ---- what the families have ----

  private deviceName(family: 4 | 6): string {
    return this.kind.devices.name(this.context.config.backend, family);
  }

  private macOf(family: 4 | 6): Link['mac'] {
    return this.macs[this.deviceName(family)] ?? NO_MAC;
  }

  private bindings(): Binding[] {
    return this.families.map((family) => ({
      family,
      device: this.deviceName(family),
      local: underlayAddress(this.context.external, family),
    }));
  }

  private links(): Link[] {
    return this.bindings().map((binding) => ({
      ...binding,
      network: this.holdsNodes(binding.family)
        ? this.ownSubnet(binding.family)
        : this.network(binding.family),
      ownSubnet: this.ownSubnet(binding.family),
      mac: this.macOf(binding.family),
      mtu: this.deviceMtu(binding.family),
      podMtu: this.podMtu(),
    }));
  }

  private ownSubnet(family: 4 | 6): Prefix {
    const subnet = family === 4 ? this.subnets.subnet4 : this.subnets.subnet6;
    if (!subnet) throw new Error(`the lease has no IPv${family} subnet`);
    return subnet;
  }

  private network(family: 4 | 6): Prefix {
    const { ipv4, ipv6 } = this.context.config;
    const range = family === 4 ? ipv4 : ipv6;
    if (!range) throw new Error(`no IPv${family} in the network config`);
    return range.network;
  }

  /** Network may be as wide as the site (flannel's own example is 10.0.0.0/8): then addresses inside need not be pods'. */
  private holdsNodes(family: 4 | 6): boolean {
    const own = underlayAddress(this.context.external, family);
    return this.nodesInside[family] > 0 || prefixContains(this.network(family), own);
  }

  private isInside(peer: Peer | undefined): boolean {
    return peer !== undefined && prefixContains(this.network(peer.family), peer.address);
  }

  private note({ id, before, after }: PeerChange): void {
    const { family } = before ?? after ?? { family: 4 };
    this.nodesInside[family] += Number(this.isInside(after)) - Number(this.isInside(before));
    if (after) this.peers.set(id, after);
    else this.peers.delete(id);
  }

  /** MTU of a family's device. */
  private deviceMtu(family: 4 | 6): number {
    const { config, external } = this.context;
    const outer = this.kind.outerMtu(config.backend) ?? external.mtu;
    return outer - this.kind.overheadBytes(family);
  }

  podMtu(): number {
    return Math.min(...this.families.map((family) => this.deviceMtu(family)));
  }

  // ---- devices and routes ----

  private setUpOf(family: 4 | 6): DeviceSetup {
    const { settings, fds } = this.context;
    return {
      name: this.deviceName(family),
      family,
      address: this.ownSubnet(family).words,
      mtu: this.deviceMtu(family),
      queuePackets: queuePackets(
        settings.workers,
        fds.outlivesUs && !fds.startsUsAgain ? 'a new pod' : 'at once',
      ),
    };
  }

  private async setUpDevices(): Promise<void> {
    const { addon, log } = this.context;
    for (const family of this.families) {
      const setup = this.setUpOf(family);
      for (const warning of await configureDevice(setup, addon)) log.warn(warning);
      const subnet = formatPrefix(this.ownSubnet(family));
      log.info({ mtu: setup.mtu, subnet }, `device ${setup.name} is up`);
    }
  }

  /**
   * One route for the whole overlay, because the workers look up the peer; where Network holds the nodes themselves, one for each
   * peer's subnet, as flannel has them. With DirectRouting more special ones for neighbours.
   */
  private async wishRoutes(): Promise<void> {
    const { routes } = this.context;
    const overlay = this.families.flatMap((family) =>
      this.holdsNodes(family)
        ? [...this.peers.values()].flatMap((peer) => this.overlayRoute(family, peer) ?? [])
        : [this.throughDevice(family, this.network(family))],
    );
    routes.set('overlay', overlay);
    if (!this.tunnel.directRouting) return;
    const direct = await this.directRoutes([...this.peers.values()]);
    routes.set('direct', [...direct.values()]);
    this.direct = direct;
  }

  /** The routes of these peers, instead of those that they had. */
  private async rerouteChanged(changes: readonly PeerChange[]): Promise<void> {
    const { routes } = this.context;
    const { directRouting } = this.tunnel;
    const come = changes.flatMap(({ after }) => after ?? []);
    const direct = directRouting ? await this.directRoutes(come) : undefined;
    for (const { id, before, after } of changes) {
      for (const family of this.families) {
        const [less, more] = [before, after].map((peer) => peer && this.overlayRoute(family, peer));
        if (this.holdsNodes(family)) routes.change('overlay', less, more);
      }
      if (!direct) continue;
      routes.change('direct', this.direct.get(id), direct.get(id));
      const now = direct.get(id);
      if (now) this.direct.set(id, now);
      else this.direct.delete(id);
    }
    await routes.syncChanges();
  }

  private overlayRoute(family: 4 | 6, peer: Peer): Route | undefined {
    return peer.family === family ? this.throughDevice(family, peer.subnet) : undefined;
  }

  private throughDevice(family: 4 | 6, prefix: Prefix): Route {
    const source = family === 4 ? { source: this.ownSubnet(4).words } : {};
    return { prefix, device: this.deviceName(family), ...source };
  }

  /** Of those that are on the same link, by {@link peerId}. */
  private async directRoutes(peers: readonly Peer[]): Promise<Map<string, Route>> {
    const { external } = this.context;
    const egress = await egressOf(
      peers.map(({ address: to, family }) => ({ to, from: underlayAddress(external, family) })),
    );
    return new Map(
      peers.flatMap((peer) => {
        const { key, subnet, address } = peer;
        const way = egress.get(formatAddress(address));
        if (!way?.isDirect) return [];
        const route = { prefix: subnet, gateway: address, device: way.device, peer: key };
        return [[peerId(peer), route] as const];
      }),
    );
  }

  private async routePeers(): Promise<void> {
    await this.wishRoutes();
    await this.context.routes.sync();
  }

  // ---- changes while it runs ----

  async apply(changes: readonly PeerChange[]): Promise<void> {
    const held = this.families.map((family) => this.holdsNodes(family));
    for (const change of changes) this.note(change);
    const holds = this.families.map((family) => this.holdsNodes(family));
    // What workers take for an address of pods is part of their task.
    if (holds.some((now, i) => now !== held[i])) return this.rebuild();
    await this.plane.apply(changes);
    if (this.tunnel.directRouting || holds.includes(true)) await this.rerouteChanged(changes);
  }

  async heal(): Promise<string> {
    if (!this.plane.isWhole(this.families.length)) {
      await this.rebuild();
      return 'ports were missing: devices, sockets and workers made anew';
    }
    const done: string[] = [];
    for (const family of this.families) {
      const setup = this.setUpOf(family);
      const state = await lookAtDevice(setup);
      if (state === 'right') continue;
      const name = this.plane.deviceName(family);
      if (name === '') {
        await this.rebuild();
        return `device ${setup.name} was gone: made anew`;
      }
      if (state === 'missing') await renameDevice(name, setup.name);
      await configureDevice(setup, this.context.addon);
      const what = state === 'missing' ? `renamed to ${name}` : 'changed';
      done.push(`device ${setup.name} was ${what}: set up again`);
    }
    await this.wishRoutes();
    return done.join('; ');
  }

  learnAddresses(links: readonly AddressedLink[]): void {
    this.plane.guard(localAddresses(links));
  }

  hear(news: readonly News[]): void {
    this.plane.hear(news);
  }

  listen(): void {
    this.plane.listen();
  }

  async move(external: ExternalInterface): Promise<void> {
    const before = this.boundTo();
    this.context.external = external;
    if (this.boundTo() !== before) await this.rebuild();
  }

  /** What sockets, devices and workers were made with: an MTU that the config fixes is no reason to make them anew. */
  private boundTo(): string {
    return this.bindings()
      .map(({ family, local }) => `${formatAddress(local)} ${this.deviceMtu(family)}`)
      .join();
  }

  /** New workers with the same lease and peers, and new devices and sockets where the old ones are gone or do not fit any more. */
  private async rebuild(): Promise<void> {
    await this.plane.stop();
    await this.plane.open(this.bindings());
    await this.startForwarding();
  }

  // ---- what observers see, and the end ----

  isForwarding(): boolean {
    return this.plane.isForwarding();
  }

  status(): BackendStatus {
    const { plane, tunnel } = this;
    return {
      devices: plane.devices().map(({ device, family }) => ({
        device,
        family,
        mtu: this.deviceMtu(family),
        mac: tunnel.vtep ? formatMac(this.macOf(family)) : null,
      })),
      offloads: plane.offloads(),
      shortcuts: plane.shortcutSummaries(),
      workers: plane.workers(),
      table: plane.tableStatus,
      totals: plane.totals(),
      pastWorkers: plane.carriedPastWorkers(),
    };
  }

  workerTotals(): Totals[] {
    return this.plane.workerTotals();
  }

  failWorker(index: number, fault: WorkerFault): void {
    this.plane.failWorker(index, fault);
  }

  close(): Promise<void> {
    return this.plane.close();
  }
}
