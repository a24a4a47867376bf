/**
 * Opens TUN queues and sockets for all workers. The descriptors belong to the control thread: a worker that dies takes no device
 * and no socket with it, and its successor goes on with the same ones.
 */
import type { Addon } from '../shared/addon.ts';
import { addressBytes, type Words } from '../shared/address.ts';
import { EXIT, messageOf, WeftError } from '../shared/errors.ts';
import { FEATURE } from '../shared/layout.ts';
import type { UdpBackend, VxlanBackend } from './config/network-config.ts';
import { findPortHolder } from './host/preflight.ts';

const BUFFER_BYTES = 4 << 20;
/** Sending sockets per worker: source ports over which peers and routers spread flows. */
const SEND_SOCKETS = 4;
const ANY4 = new Uint8Array(4);
const ANY6 = new Uint8Array(16);

export type TunnelConfig = VxlanBackend | UdpBackend;

/** One worker's descriptors of one address family. */
export interface WorkerPorts {
  tunFd: number;
  udpFd: number;
  sendFds: number[];
  /** their ports */
  sendPorts: number[];
  features: number;
}

export interface FamilyPorts {
  family: 4 | 6;
  device: string;
  workers: WorkerPorts[];
}

/** Name of the device that carries a family, as flannel names it. */
export function deviceName(backend: TunnelConfig, family: 4 | 6): string {
  if (backend.type === 'udp') return 'flannel0';
  return family === 4 ? `flannel.${backend.vni}` : `flannel-v6.${backend.vni}`;
}

/** Throws WeftError ERR_PORT_TAKEN, ERR_TUN_BUSY or ERR_OPEN; closes what it had opened. */
export async function openPorts(
  addon: Addon,
  backend: TunnelConfig,
  family: 4 | 6,
  local: Words,
  workers: number,
  features: number,
): Promise<FamilyPorts> {
  const opened: number[] = [];
  const ports: FamilyPorts = { family, device: deviceName(backend, family), workers: [] };
  try {
    for (let i = 0; i < workers; i++) {
      ports.workers.push(openWorker(addon, backend, family, local, ports.device, features, opened));
    }
    return ports;
  } catch (error) {
    for (const fd of opened) addon.close(fd);
    throw await explain(error, ports.device, backend.port);
  }
}

function openWorker(
  addon: Addon,
  backend: TunnelConfig,
  family: 4 | 6,
  local: Words,
  device: string,
  wanted: number,
  opened: number[],
): WorkerPorts {
  const keep = (fd: number): number => {
    opened.push(fd);
    return fd;
  };
  const isVxlan = backend.type === 'vxlan';
  const socket = (
    address: Uint8Array,
    port: number,
    receives: boolean,
  ): { fd: number; port: number; gro: boolean } =>
    addon.openUdp({
      family,
      address,
      port,
      reusePort: receives,
      gro: receives && (wanted & FEATURE.udpGro) !== 0,
      dontFragment: !isVxlan,
      bufferBytes: BUFFER_BYTES,
    });
  // Stock VXLAN listens on every address; flannel-UDP on the interface's, which it also sends from.
  const any = family === 4 ? ANY4 : ANY6;
  const receiver = socket(isVxlan ? any : addressBytes(local), backend.port, true);
  keep(receiver.fd);
  const tun = addon.openTun(device, wanted);
  keep(tun.fd);
  const sender = (): { fd: number; port: number } => {
    const opened = socket(addressBytes(local), 0, false);
    keep(opened.fd);
    return opened;
  };
  const senders = isVxlan ? Array.from({ length: SEND_SOCKETS }, sender) : [receiver];
  const probed = FEATURE.tunTso | FEATURE.tunUso | FEATURE.udpGro | FEATURE.tunnelGso;
  let features = wanted & ~probed;
  features |= tun.features & (FEATURE.tunTso | FEATURE.tunUso);
  if (receiver.gro) features |= FEATURE.udpGro;
  return {
    tunFd: tun.fd,
    udpFd: receiver.fd,
    sendFds: senders.map(({ fd }) => fd),
    sendPorts: senders.map(({ port }) => port),
    features,
  };
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
  return new WeftError(
    'ERR_OPEN',
    EXIT.os,
    `data plane: ${syscall ?? 'open'} failed: ${messageOf(error)}`,
    error,
  );
}

export function closePorts(addon: Addon, ports: readonly FamilyPorts[]): void {
  const fds = ports.flatMap((p) => p.workers.flatMap((w) => [w.tunFd, w.udpFd, ...w.sendFds]));
  for (const fd of new Set(fds)) addon.close(fd);
}
