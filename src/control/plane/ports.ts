/**
 * TUN queues and sockets for all workers: those of the process before where they fit, else new ones. The descriptors belong to the
 * control thread: a worker that dies takes no device and no socket with it, and its successor goes on with the same ones.
 */

import type { Tunnel } from '../../cluster/kinds/kind.ts';
import { findPortHolder } from '../../host/preflight.ts';
import type { Addon, UdpOptions } from '../../memory/addon.ts';
import { FEATURE } from '../../memory/layout.ts';
import type { Queue } from '../../memory/worker-task.ts';
import { addressBytes, type Words } from '../../shared/address.ts';
import { advisedMessageOf, EXIT, WeftError } from '../../shared/errors.ts';
import type { FdStore } from '../manager/fd-store.ts';

const BUFFER_BYTES = 4 << 20;
/** A crash widens nothing: 5 s of 1,000 packets a second wait in this, large ones too (the kernel counts some 2,300 bytes for each). */
const RECEIVE_BYTES = 8 << 20;
/** While nobody reads: a TCP transfer must not push others out of the socket. */
const HANDOVER_BYTES = 32 << 20;
/** Sending sockets of a queue: source ports over which peers and routers spread flows. */
const SEND_SOCKETS = 4;
/** Of the source ports, so that the receiving node can tell: it reads what is not bulk first. Kernel nodes, and the fast path, choose theirs by a hash. */
const PARITY = { others: 0, bulk: 1 } as const;
/** Half of the kernel's ports have it. */
const PARITY_TRIES = 64;
const ANY4 = new Uint8Array(4);
const ANY6 = new Uint8Array(16);

/** One worker's descriptors of one address family. */
export interface WorkerPorts extends Queue {
  bulk: Queue | undefined;
  /** raw socket on which ICMP errors leave; -1 without permission for one */
  icmpFd: number;
  features: number;
}

export interface FamilyPorts {
  family: 4 | 6;
  device: string;
  workers: WorkerPorts[];
}

export interface PortWishes {
  tunnel: Tunnel;
  device: string;
  family: 4 | 6;
  /** this node's address in the underlay */
  local: Words;
  workers: number;
  features: number;
}

/** Throws WeftError ERR_PORT_TAKEN, ERR_TUN_BUSY or ERR_OPEN; what it had opened is closed or waits in the store. */
export async function openPorts(
  addon: Addon,
  store: FdStore,
  wishes: PortWishes,
): Promise<FamilyPorts> {
  const { tunnel, device, family, workers } = wishes;
  const opener = new Opener(addon, store, wishes);
  const ports: FamilyPorts = { family, device, workers: [] };
  try {
    for (let i = 0; i < workers; i++) ports.workers.push(opener.openWorker(i));
    // In this order they are bound, and numbered.
    ports.workers.forEach((worker, i) => {
      worker.bulk = opener.openBulk(i);
    });
    spread(addon, ports);
    return ports;
  } catch (error) {
    opener.undo();
    throw await explain(error, device, tunnel.encap.port);
  }
}

/**
 * Which socket reads what: with sockets for bulk flows, those get the flows that come from odd ports, as other nodes of ours send theirs.
 * Sockets that were taken over stand in the order in which a process before bound them: after a change of the number of workers a flow may
 * be read by another socket than meant, but always by the same.
 */
function spread(addon: Addon, { family, workers }: FamilyPorts): void {
  const [first] = workers;
  if (!first) return;
  try {
    if (first.bulk) addon.spreadByPort(first.udpFd, family, workers.length);
    // Of the process before there may be a rule, which would leave workers without flows.
    else addon.spreadByHash(first.udpFd);
  } catch {
    // The kernel has no such rules, and spreads flows by a hash.
  }
}

/** Names in the descriptor store: they say what a descriptor is for, not what it is; that is checked when it is adopted. */
function storeName(
  kind: 'tun' | 'udp' | 'bulk-tun' | 'bulk-udp',
  family: 4 | 6,
  worker: number,
): string {
  return `${kind}-${family}-${worker}`;
}

interface Socket {
  fd: number;
  port: number;
  gro: boolean;
}

class Opener {
  private readonly unnamed: number[] = [];
  private readonly named = new Map<string, number>();
  private readonly addon: Addon;
  private readonly store: FdStore;
  private readonly wishes: PortWishes;

  constructor(addon: Addon, store: FdStore, wishes: PortWishes) {
    this.addon = addon;
    this.store = store;
    this.wishes = wishes;
  }

  /** What the store has a copy of waits for the next try, so that a name never stands for two descriptors. */
  undo(): void {
    for (const fd of this.unnamed) this.addon.close(fd);
    for (const [name, fd] of this.named) this.store.giveBack(name, fd);
  }

  /** Without its sockets for bulk flows. */
  openWorker(worker: number): WorkerPorts {
    const { family, features: wanted } = this.wishes;
    const receiver = this.openReceiver(storeName('udp', family, worker));
    const tun = this.openQueue(storeName('tun', family, worker));
    const main = this.queueOf(tun, receiver, this.hasBulk ? PARITY.others : undefined);
    const probed =
      FEATURE.tunTso | FEATURE.tunUso | FEATURE.udpGro | FEATURE.tunnelGso | FEATURE.bulkQueue;
    let features = wanted & ~probed;
    features |= tun.features & (FEATURE.tunTso | FEATURE.tunUso);
    if (receiver.gro) features |= FEATURE.udpGro;
    if (this.hasBulk) features |= FEATURE.bulkQueue;
    return { ...main, bulk: undefined, icmpFd: this.openIcmp(), features };
  }

  /** undefined where bulk flows have no queue of their own. */
  openBulk(worker: number): Queue | undefined {
    if (!this.hasBulk) return undefined;
    const { family } = this.wishes;
    const receiver = this.openReceiver(storeName('bulk-udp', family, worker));
    const tun = this.openQueue(storeName('bulk-tun', family, worker));
    return this.queueOf(tun, receiver, PARITY.bulk);
  }

  /** Without ports to choose from a receiver can't tell. */
  private get hasBulk(): boolean {
    const { features, tunnel } = this.wishes;
    return (features & FEATURE.bulkQueue) !== 0 && tunnel.sockets.spreadsFlows;
  }

  private openReceiver(name: string): Socket {
    return this.kept(
      name,
      // What waits in it may be more than it holds otherwise: until it is read there must be room for what still comes.
      (fd) => this.addon.adoptUdp(fd, { ...this.receiverOptions(), bufferBytes: HANDOVER_BYTES }),
      () => this.addon.openUdp(this.receiverOptions()),
    );
  }

  private openQueue(name: string): { fd: number; features: number } {
    const { device, features: wanted } = this.wishes;
    return this.kept(
      name,
      (fd) => this.addon.adoptTun(fd, device, wanted),
      () => this.addon.openTun(device, wanted),
    );
  }

  private queueOf(tun: { fd: number }, receiver: Socket, parity: number | undefined): Queue {
    const senders = this.wishes.tunnel.sockets.spreadsFlows
      ? Array.from({ length: SEND_SOCKETS }, () => this.openSender(parity))
      : [receiver];
    return {
      tunFd: tun.fd,
      udpFd: receiver.fd,
      sendFds: senders.map(({ fd }) => fd),
      sendPorts: senders.map(({ port }) => port),
    };
  }

  /** The descriptor of the process before, else a new one, of which the store gets a copy at once: also a crash shall keep it. */
  private kept<T extends { fd: number }>(name: string, adopt: (fd: number) => T, open: () => T): T {
    const adopted = this.store.adopt(name, adopt);
    const port = adopted ?? open();
    this.named.set(name, port.fd);
    if (!adopted) this.store.keep(name, port.fd);
    return port;
  }

  private receiverOptions(): UdpOptions {
    const { family, tunnel, local, features } = this.wishes;
    const { anyAddress, dontFragment } = tunnel.sockets;
    const any = family === 4 ? ANY4 : ANY6;
    return {
      family,
      address: anyAddress ? any : addressBytes(local),
      port: tunnel.encap.port,
      reusePort: true,
      gro: (features & FEATURE.udpGro) !== 0,
      dontFragment,
      bufferBytes: RECEIVE_BYTES,
    };
  }

  /** With a port of this parity, if it matters; which one the kernel gives is chance. */
  private openSender(parity: number | undefined): Socket {
    const { local } = this.wishes;
    const own = { address: addressBytes(local), port: 0, reusePort: false, gro: false };
    const options = { ...this.receiverOptions(), ...own, bufferBytes: BUFFER_BYTES };
    for (let tries = 1; ; tries++) {
      const socket = this.addon.openUdp(options);
      if (parity === undefined || socket.port % 2 === parity || tries === PARITY_TRIES) {
        this.unnamed.push(socket.fd);
        return socket;
      }
      this.addon.close(socket.fd);
    }
  }

  /** -1 without CAP_NET_RAW: forwarding does not need it. */
  private openIcmp(): number {
    try {
      const fd = this.addon.openIcmp(this.wishes.family);
      this.unnamed.push(fd);
      return fd;
    } catch {
      return -1;
    }
  }
}

async function explain(error: unknown, device: string, port: number): Promise<WeftError> {
  const { code, syscall } = error as { code?: string; syscall?: string };
  if (code === 'EADDRINUSE') {
    const holder = await findPortHolder(port).catch(() => undefined);
    const why = holder ?? 'another program owns it (see: ss -ulpn)';
    return new WeftError('ERR_PORT_TAKEN', EXIT.os, `UDP port ${port} is taken: ${why}`, error);
  }
  if (syscall === 'openTun' && (code === 'EBUSY' || code === 'EINVAL')) {
    const message = `device ${device} can't be made (${code}): a device of this name is in use; remove it with: ip link delete ${device}`;
    return new WeftError('ERR_TUN_BUSY', EXIT.os, message, error);
  }
  const message = `data plane: ${syscall ?? 'open'} failed: ${advisedMessageOf(error)}`;
  return new WeftError('ERR_OPEN', EXIT.os, message, error);
}

/** Closes all; what the store holds a copy of lives on there. */
export function closePorts(addon: Addon, ports: readonly FamilyPorts[]): void {
  for (const { workers } of ports) {
    for (const worker of workers) {
      closeUnnamed(addon, worker);
      for (const { udpFd, tunFd } of queuesOf(worker)) {
        addon.close(udpFd);
        addon.close(tunFd);
      }
    }
  }
}

/** Closes what the store has no copy of: the sockets that only send. */
function closeUnnamed(addon: Addon, worker: WorkerPorts): void {
  for (const { udpFd, sendFds } of queuesOf(worker))
    for (const fd of sendFds) if (fd !== udpFd) addon.close(fd);
  if (worker.icmpFd >= 0) addon.close(worker.icmpFd);
}

function queuesOf(worker: WorkerPorts): Queue[] {
  return worker.bulk ? [worker, worker.bulk] : [worker];
}

/** Closes the sending sockets; queues and receiving sockets wait in the store to be adopted by the next {@link openPorts}. */
export function giveBackPorts(addon: Addon, store: FdStore, ports: readonly FamilyPorts[]): void {
  for (const { family, workers } of ports) {
    workers.forEach((ports, worker) => {
      closeUnnamed(addon, ports);
      store.giveBack(storeName('udp', family, worker), ports.udpFd);
      store.giveBack(storeName('tun', family, worker), ports.tunFd);
      if (!ports.bulk) return;
      store.giveBack(storeName('bulk-udp', family, worker), ports.bulk.udpFd);
      store.giveBack(storeName('bulk-tun', family, worker), ports.bulk.tunFd);
    });
  }
}

/**
 * Whether device, address and routes outlive their last queue: over a crash they shall, because packets for the overlay must not leave
 * elsewhere. After an end in order they shall not: a device that nobody reads is in the way of whoever comes next.
 */
export function persistDevices(
  addon: Addon,
  ports: readonly FamilyPorts[],
  persist: boolean,
): void {
  for (const { workers } of ports) {
    const [first] = workers;
    if (first) addon.persistTun(first.tunFd, persist);
  }
}

/** Makes room for what arrives until the next process reads. */
export function widenSockets(addon: Addon, ports: readonly FamilyPorts[]): void {
  resizeSockets(addon, ports, HANDOVER_BYTES);
}

/** Once it reads. */
export function narrowSockets(addon: Addon, ports: readonly FamilyPorts[]): void {
  resizeSockets(addon, ports, RECEIVE_BYTES);
}

function resizeSockets(addon: Addon, ports: readonly FamilyPorts[], bytes: number): void {
  for (const { workers } of ports) {
    for (const { udpFd } of workers.flatMap(queuesOf)) addon.receiveBuffer(udpFd, bytes);
  }
}
