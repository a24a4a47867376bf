/** wireguard-go, WireGuard in user space. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../../src/lab/command.ts';
import type { Plane } from './plane.ts';
import { buildRouted, type RoutedNode } from './routed.ts';
import { packageVersion, waitForDevice } from './wait.ts';

/** The control sockets of all namespaces lie in one directory, under the device's name. */
const deviceOf = (node: RoutedNode): string => `wgbench${node.index}`;
const PORT = '51820';
/** wg-quick's: the underlay's 1500 less 80 */
const MTU = 1420;

interface Keys {
  secretFile: string;
  publicKey: string;
}

async function makeKeys(node: RoutedNode): Promise<Keys> {
  const secretFile = join(node.folder, `wg${node.index}.key`);
  const { stdout: secret } = await run('wg', ['genkey']);
  writeFileSync(secretFile, secret, { mode: 0o600 });
  const { stdout } = await run('wg', ['pubkey'], { input: secret });
  return { secretFile, publicKey: stdout.trim() };
}

async function start(node: RoutedNode, own: Keys, far: Keys): Promise<void> {
  const device = deviceOf(node);
  node.namespace.spawn('wireguard-go', ['-f', device]);
  await waitForDevice(node.namespace, device);
  const peer = ['peer', far.publicKey, 'endpoint', `${node.remote}:${PORT}`];
  const setting = ['set', device, 'listen-port', PORT, 'private-key', own.secretFile];
  await node.namespace.exec('wg', [...setting, ...peer, 'allowed-ips', node.remoteSubnet]);
  await node.namespace.ip('link', 'set', device, 'mtu', String(MTU), 'up');
  await node.namespace.ip('route', 'add', node.remoteSubnet, 'dev', device);
}

export const wireguardGo: Plane = {
  id: 'wireguard-go',
  label: 'wireguard-go',
  besides: 'encrypts and authenticates (ChaCha20-Poly1305)',
  commands: { 'wireguard-go': 'wireguard-go', wg: 'wireguard-tools' },
  build: async (link) => {
    return buildRouted({
      link,
      podMtu: MTU,
      version: `wireguard-go ${await packageVersion('wireguard-go')}`,
      join: async ([a, b]) => {
        const keys = [await makeKeys(a), await makeKeys(b)] as const;
        await start(a, keys[0], keys[1]);
        await start(b, keys[1], keys[0]);
      },
    });
  },
};
