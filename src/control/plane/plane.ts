/**
 * A running data plane: ports, the table of peers, workers and shortcuts. In order: its threads load their program (constructor), open
 * takes what the host must give, start begins to forward, apply gives it other peers, stop ends it; after a stop it can be opened again.
 * One call at a time.
 */
import { asNew, type Peer, type PeerChange, peerId } from '../../cluster/peers.ts';
import type { News } from '../../host/kernel-news.ts';
import type { Totals } from '../../memory/counters.ts';
import { TABLE_BYTES } from '../../memory/table.ts';
import type { LinkTask } from '../../memory/worker-task.ts';
import { featureNames } from '../../options/settings.ts';
import { type Mac, NO_MAC, type Prefix, type Words } from '../../shared/address.ts';
import { messageOf } from '../../shared/errors.ts';
import { Observation } from '../observe/observation.ts';
import { Books } from './books.ts';
import type { PlaneContext } from './context.ts';
import { LocalAddressTable } from './local-addresses.ts';
import {
  closePorts,
  type FamilyPorts,
  giveBackPorts,
  narrowSockets,
  openPorts,
  persistDevices,
  widenSockets,
} from './ports.ts';
import { Publication } from './publication.ts';
import { SharedTable } from './shared-table.ts';
import type { Shortcut, ShortcutSummary } from './shortcut.ts';
import { openShortcuts } from './shortcuts.ts';
import { Supervisor, type WorkerFault, type WorkerStatus } from './supervisor.ts';

const SHORTCUT_CHECK_MS = 1_000;
/** From the start of forwarding until sockets that were taken over are as large as ever. */
const NARROW_MS = 10_000;

/** What a family's device and sockets are bound to. */
export interface Binding {
  family: 4 | 6;
  device: string;
  /** this node's address in the underlay */
  local: Words;
}

/** A family of the overlay, as this node has it. */
export interface Link extends Binding {
  network: Prefix;
  ownSubnet: Prefix;
  /** all zero where the wire carries none */
  mac: Mac;
  /** of the device, bytes */
  mtu: number;
  /** that pods were told, bytes */
  podMtu: number;
}

/** Which publication of the route table is in force, and since when. */
export interface TableStatus {
  generation: number;
  publishedAt: string;
}

export class Plane {
  readonly observation: Observation;
  private readonly context: PlaneContext;
  private readonly books: Books;
  private supervisor: Supervisor | undefined;
  /** what the workers of earlier sets of ports had come to, worker by worker */
  private pastWorkers: readonly WorkerStatus[] = [];
  /** the next one, with threads that have loaded their program or do so while other things are done */
  private spare: Supervisor | undefined;
  private ports: FamilyPorts[] = [];
  private hearsAll = false;
  private shortcuts: readonly Shortcut[] = [];
  private publication: Publication | undefined;
  private table: TableStatus | null = null;
  /** those in force, with the shortcuts' marks */
  private peers = new Map<string, Peer>();
  private readonly localAddresses: LocalAddressTable;
  private hostAddresses: readonly Words[] = [];
  private shortcutCheck: NodeJS.Timeout | undefined;
  private narrowing: NodeJS.Timeout | undefined;

  constructor(context: PlaneContext) {
    const { addon, log, settings } = context;
    this.context = context;
    this.localAddresses = new LocalAddressTable(log);
    this.observation = new Observation(settings.workers);
    this.observation.onlookers.onChange((areThere) => {
      for (const shortcut of this.shortcuts) shortcut.watch?.(areThere);
    });
    this.books = new Books(settings.workers, this.observation.ledger);
    this.spare = new Supervisor(addon, log, settings.workers);
  }

  /** Throws WeftError as {@link openPorts}. */
  async open(bindings: readonly Binding[]): Promise<void> {
    const { addon, settings, log, fds, tunnel } = this.context;
    const { workers, features } = settings;
    for (const { family, device, local } of bindings) {
      const wishes = { tunnel, device, family, local, workers, features };
      this.ports.push(await openPorts(addon, fds, wishes));
    }
    const unfit = fds.discardRest();
    if (unfit.length > 0) log.info({ unfit }, 'unusable descriptors from the previous run');
    this.shortcuts = await openShortcuts(this.context);
    for (const shortcut of this.shortcuts) {
      this.books.openShortcut(shortcut);
      shortcut.guard?.([...bindings.map(({ local }) => local), ...this.hostAddresses]);
      shortcut.watch?.(this.observation.onlookers.areThere);
      if (this.hearsAll) shortcut.listen?.();
    }
    if (this.ports.some((family) => family.workers.some(({ icmpFd }) => icmpFd < 0)))
      log.warn('no raw socket (CAP_NET_RAW): ICMP errors of the overlay do not reach senders');
    log.info({ offloads: this.offloads(), checksum: addon.checksumName() }, 'data plane opened');
  }

  /** From here on packets are forwarded. Shortcuts wait for {@link lookForShortcuts}: devices and routes are not there yet. */
  async start(links: readonly Link[], peers: readonly Peer[]): Promise<void> {
    const { addon, log, settings } = this.context;
    const supervisor = this.spare ?? new Supervisor(addon, log, settings.workers);
    this.spare = undefined;
    this.supervisor = supervisor;
    this.books.openWorkers(() => supervisor.counterBlocks());
    const memory = new SharedArrayBuffer(TABLE_BYTES);
    this.publication = new Publication(
      new SharedTable(memory, () => supervisor.seenGenerations()),
      this.shortcuts.flatMap(({ table }) => table ?? []),
      (changes) => this.observation.ledger.assign(changes),
    );
    this.observation.ledger.retain(peers);
    this.peers = new Map();
    // Recalled too: so shortcuts know whose way they have to look at.
    await this.publish(asNew(peers.map((peer) => this.recall(peer))));
    this.localAddresses.setLinks(links.flatMap(({ ownSubnet, local }) => [ownSubnet.words, local]));
    const tasks = this.tasksOf(links);
    for (const shortcut of this.shortcuts) shortcut.begin(tasks[0] ?? []);
    supervisor.start(
      tasks.map((own, worker) => ({
        cpu: -1,
        table: memory,
        localAddresses: this.localAddresses.memory,
        observation: this.observation.memoryOf(worker),
        encap: this.context.tunnel.encap,
        sourceCheck: settings.sourceCheck,
        links: own,
      })),
    );
  }

  /** Links by worker. */
  private tasksOf(links: readonly Link[]): LinkTask[][] {
    return Array.from({ length: this.context.settings.workers }, (_, worker) =>
      links.map((link) => {
        const plain = this.linkTask(link, worker);
        return this.shortcuts.reduce((task, shortcut) => shortcut.equip(task, worker), plain);
      }),
    );
  }

  private linkTask(link: Link, worker: number): LinkTask {
    const ports = this.ports.find(({ family }) => family === link.family)?.workers[worker];
    if (!ports) throw new Error(`no ports for worker ${worker}`);
    return {
      ...ports,
      family: link.family,
      tapFd: -1,
      tapMac: NO_MAC,
      tunnelMtu: link.mtu,
      podMtu: link.podMtu,
      network: link.network,
      ownSubnet: link.ownSubnet,
      deviceAddress: link.ownSubnet.words,
      underlayAddress: link.local,
      ownMac: link.mac,
    };
  }

  /** Says once that devices and routes are there: a look at shortcuts now, and again whenever one is due. */
  async settle(): Promise<void> {
    persistDevices(this.context.addon, this.ports, true);
    clearTimeout(this.narrowing);
    this.narrowing = setTimeout(() => this.narrow(), NARROW_MS).unref();
    await this.markAndPublish(this.shortcuts);
    this.shortcutCheck ??= setInterval(() => void this.checkShortcuts(), SHORTCUT_CHECK_MS).unref();
  }

  /** Threads may take seconds to load their program on a busy machine, and then read what waits. */
  private narrow(): void {
    if (this.isForwarding()) narrowSockets(this.context.addon, this.ports);
    else this.narrowing = setTimeout(() => this.narrow(), NARROW_MS).unref();
  }

  /** Peers come, change or go. */
  async apply(changes: readonly PeerChange[]): Promise<void> {
    // Workers first: whether a shortcut may be taken to new peers is found out behind that.
    await this.publish(
      changes.map(({ id, after }) => ({
        id,
        before: this.peers.get(id),
        after: after && this.recall(after),
      })),
    );
  }

  private recall(peer: Peer): Peer {
    return this.shortcuts.reduce((marked, shortcut) => shortcut.recall(marked), peer);
  }

  /** These are the host's addresses now: what comes from the underlay must not have one of them as its source. */
  guard(addresses: readonly Words[]): void {
    this.localAddresses.setHost(addresses);
    this.hostAddresses = addresses;
    for (const shortcut of this.shortcuts) shortcut.guard?.(addresses);
  }

  /** What the kernel announces. */
  hear(news: readonly News[]): void {
    for (const shortcut of this.shortcuts) shortcut.hear?.(news);
  }

  /** From here on {@link hear} is told all of it; shortcuts that are opened later know it, too. */
  listen(): void {
    this.hearsAll = true;
    for (const shortcut of this.shortcuts) shortcut.listen?.();
  }

  private async publish(changes: readonly PeerChange[]): Promise<void> {
    for (const { id, after } of changes) {
      if (after) this.peers.set(id, after);
      else this.peers.delete(id);
    }
    const generation = await this.publication?.publish(changes);
    if (generation !== undefined)
      this.table = { generation, publishedAt: new Date().toISOString() };
    this.supervisor?.wakeAll();
  }

  /** Routes, devices and firewall rules change without a word in the store. */
  private async checkShortcuts(): Promise<void> {
    const due = this.shortcuts.filter((shortcut) => shortcut.isDue(performance.now()));
    if (due.length === 0) return;
    try {
      await this.markAndPublish(due);
    } catch (error) {
      this.context.log.error(`shortcuts not checked: ${messageOf(error)}`);
    }
  }

  private async markAndPublish(due: readonly Shortcut[]): Promise<void> {
    const { shortcuts } = this;
    const seen = new Set<string>();
    for (const shortcut of due)
      for (const peer of await shortcut.look([...this.peers.values()])) seen.add(peerId(peer));
    if (this.shortcuts !== shortcuts) return;
    const changes = [...seen].flatMap((id) => {
      // As they are now: some may have changed or gone meanwhile.
      const before = this.peers.get(id);
      const after = before && this.recall(before);
      return after && after !== before ? [{ id, before, after }] : [];
    });
    if (changes.length > 0) await this.publish(changes);
  }

  /** False after a rebuild that failed, for example because the underlay's address could not be used yet. */
  isWhole(families: number): boolean {
    return this.supervisor !== undefined && this.ports.length === families;
  }

  isForwarding(): boolean {
    const workers = this.workers();
    return workers.length > 0 && workers.every((worker) => worker.state === 'running');
  }

  /** Names of the features that every worker has. */
  offloads(): string[] {
    const found = this.ports[0]?.workers[0]?.features ?? 0;
    return featureNames(this.shortcuts.reduce((all, { features }) => all | features, found));
  }

  /** Their counts go on where a device is made anew. */
  workers(): WorkerStatus[] {
    return (this.supervisor?.status() ?? []).map((now, i) => sinceStart(now, this.pastWorkers[i]));
  }

  get tableStatus(): TableStatus | null {
    return this.table;
  }

  shortcutSummaries(): ShortcutSummary[] {
    return this.shortcuts.map((shortcut) => shortcut.summary());
  }

  totals(): Totals {
    return this.books.totals();
  }

  /** Of {@link totals}, what went past the workers. */
  carriedPastWorkers(): Totals {
    return this.books.pastWorkers();
  }

  workerTotals(): Totals[] {
    return this.books.workerTotals();
  }

  /** Devices that are there, by family. */
  devices(): readonly Pick<FamilyPorts, 'family' | 'device'>[] {
    return this.ports;
  }

  /** What a family's device is called now, whoever renamed it; '' when it is gone. */
  deviceName(family: 4 | 6): string {
    const fd = this.ports.find((ports) => ports.family === family)?.workers[0]?.tunFd;
    return fd === undefined ? '' : this.context.addon.tunDevice(fd);
  }

  failWorker(index: number, fault: WorkerFault): void {
    this.supervisor?.fail(index, fault);
  }

  /** Ends forwarding; queues and sockets wait for the next {@link open}. */
  async stop(): Promise<void> {
    const { addon, fds } = this.context;
    const ports = await this.stopForwarding((supervisor) => this.restOrReplace(supervisor));
    this.spare?.forget();
    giveBackPorts(addon, fds, ports);
  }

  /** Threads that have their program are worth keeping: most of a start is loading it. */
  private async restOrReplace(supervisor: Supervisor): Promise<void> {
    const { addon, log, settings } = this.context;
    if (await supervisor.rest()) {
      this.spare = supervisor;
      return;
    }
    this.spare = new Supervisor(addon, log, settings.workers);
    await supervisor.stop();
  }

  /**
   * Ends for good. With a descriptor store devices, queues and sockets live on there, and what arrives before the next process reads waits
   * in them; they end when the service manager stops the service, and without a store they end with us. The next daemon of this process
   * has them as well.
   */
  async close(): Promise<void> {
    const { addon, fds } = this.context;
    clearInterval(this.shortcutCheck);
    clearTimeout(this.narrowing);
    this.observation.captures.close();
    if (fds.outlivesUs) widenSockets(addon, this.ports);
    // Of a start that was cut short the devices are still those of the run before.
    if (this.supervisor) persistDevices(addon, this.ports, false);
    await this.spare?.stop();
    const ports = await this.stopForwarding((supervisor) => supervisor.stop());
    if (fds.nextIsHere) giveBackPorts(addon, fds, ports);
    else closePorts(addon, ports);
  }

  /** The ports that nobody uses any more. */
  private async stopForwarding(
    end: (supervisor: Supervisor) => Promise<void>,
  ): Promise<FamilyPorts[]> {
    const { supervisor, shortcuts, ports, pastWorkers } = this;
    this.supervisor = undefined;
    this.shortcuts = [];
    this.ports = [];
    if (supervisor) {
      await end(supervisor);
      this.pastWorkers = supervisor.status().map((last, i) => sinceStart(last, pastWorkers[i]));
    }
    this.books.closeWorkers();
    for (const shortcut of shortcuts) {
      await shortcut.close();
      this.books.closeShortcut(shortcut);
    }
    return ports;
  }
}

/** With what an earlier worker in its place had counted. */
function sinceStart(now: WorkerStatus, past: WorkerStatus | undefined): WorkerStatus {
  if (!past) return now;
  return {
    ...now,
    restarts: now.restarts + past.restarts,
    breaths: now.breaths + past.breaths,
    waitNs: now.waitNs + past.waitNs,
  };
}
