/** WireGuard in userspace: wireguard-go, the Go implementation by WireGuard's own authors. */
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LabProcess } from '../../../lab/process.ts';
import { EXIT, WeftError } from '../../../src/shared/errors.ts';
import { Unpacked } from '../unpacked.ts';
import { routeInto, versionFrom, waitForDevice } from './daemon.ts';
import type { Plane } from './plane.ts';
import { buildRouted, type RoutedNode } from './routed.ts';

const PORT = 51820;
const SOCKET_FOLDER = '/var/run/wireguard';
const SOCKET_TIMEOUT_MS = 5000;
/** wireguard-go's own default: room for the header over IPv6 (40 + 8 + 32 bytes) */
const POD_MTU = 1420;

export interface KeyPair {
  /** 32 bytes in base64 */
  secret: string;
  publicKey: string;
}

/** An X25519 pair as `wg genkey` and `wg pubkey` would give it. */
export function wireguardKeys(): KeyPair {
  const { d, x } = generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' });
  const base64 = (value = ''): string => Buffer.from(value, 'base64url').toString('base64');
  return { secret: base64(d), publicKey: base64(x) };
}

async function joinNodes(program: string, nodes: readonly [RoutedNode, RoutedNode]): Promise<void> {
  const keys = [wireguardKeys(), wireguardKeys()] as const;
  await joinNode(program, nodes[0], keys[0].secret, keys[1].publicKey);
  await joinNode(program, nodes[1], keys[1].secret, keys[0].publicKey);
}

async function joinNode(
  program: string,
  node: RoutedNode,
  secret: string,
  peer: string,
): Promise<void> {
  // Named like the namespace: the control sockets of all namespaces lie in one folder, by the device's name.
  const device = node.namespace.name;
  const daemon = node.namespace.spawn(program, ['--foreground', device]);
  await waitForDevice(daemon, node, device);
  await waitForSocket(daemon, join(SOCKET_FOLDER, `${device}.sock`));
  const secretFile = join(node.folder, `wireguard-${node.index}.key`);
  writeFileSync(secretFile, secret, { mode: 0o600 });
  const own = ['listen-port', String(PORT), 'private-key', secretFile];
  const other = ['allowed-ips', node.remoteSubnet, 'endpoint', `${node.remote}:${PORT}`];
  await node.namespace.exec('wg', ['set', device, ...own, 'peer', peer, ...other]);
  await routeInto(node, device, POD_MTU);
}

/** The device is there a moment before `wg` can reach the daemon. */
async function waitForSocket(daemon: LabProcess, socket: string): Promise<void> {
  const deadline = Date.now() + SOCKET_TIMEOUT_MS;
  while (!existsSync(socket)) {
    if (daemon.exit !== undefined || Date.now() > deadline)
      throw new WeftError(
        'ERR_PLANE',
        EXIT.failure,
        `wireguard-go made no control socket ${socket}: ${daemon.exit ?? 'it is still starting'}`,
      );
    await sleep(20);
  }
}

export const wireguardGo: Plane = {
  id: 'wireguard-go',
  label: 'wireguard-go',
  besides: 'encrypts and authenticates (ChaCha20-Poly1305)',
  commands: { 'wireguard-go': 'wireguard-go', wg: 'wireguard-tools' },
  core: false,
  build: async (link) =>
    buildRouted({
      link,
      podMtu: POD_MTU,
      version: await versionFrom('wireguard-go', ['wireguard-go', '--version'], /v([\d.]+)/),
      join: (nodes) => joinNodes('wireguard-go', nodes),
    }),
};

/** Of Debian 13, with segmentation and coalescing at the TUN and at the socket; the one above moves one packet a system call. */
const TRIXIE = new Unpacked('trixie', ['wireguard-go']);

export const wireguardGoTrixie: Plane = {
  id: 'wireguard-go-2023',
  label: 'wireguard-go of Debian 13',
  besides: 'encrypts and authenticates (ChaCha20-Poly1305)',
  commands: { wg: 'wireguard-tools' },
  unpacked: TRIXIE,
  core: false,
  build: (link) =>
    buildRouted({
      link,
      podMtu: POD_MTU,
      // What it prints about itself was not changed by its authors: the package's version says which it is.
      version: `wireguard-go ${TRIXIE.versionOf('wireguard-go')}`,
      join: (nodes) => joinNodes(TRIXIE.program('usr/bin/wireguard-go'), nodes),
    }),
};
