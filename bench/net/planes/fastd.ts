/** fastd without encryption: TUN device, UDP, method "null". */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../../lab/command.ts';
import { routeInto, versionFrom, waitForDevice } from './daemon.ts';
import type { Plane } from './plane.ts';
import { buildRouted, type RoutedNode } from './routed.ts';

const DEVICE = 'fastd0';
const PORT = 10000;
/** 1500 less IPv4 (20), UDP (8) and the one byte that method "null" puts before a packet */
const POD_MTU = 1471;

export interface FastdConfig {
  local: string;
  remote: string;
  secret: string;
  /** public key of the other node */
  peer: string;
}

export function fastdConfig(config: FastdConfig): string {
  return [
    'log level warn;',
    'mode tun;',
    `interface "${DEVICE}";`,
    `mtu ${POD_MTU};`,
    'method "null";',
    `bind ${config.local}:${PORT};`,
    `secret "${config.secret}";`,
    `peer "other" { key "${config.peer}"; remote ${config.remote}:${PORT}; }`,
    '',
  ].join('\n');
}

async function joinNodes(nodes: readonly [RoutedNode, RoutedNode]): Promise<void> {
  const keys = [await makeKeys(nodes[0]), await makeKeys(nodes[1])] as const;
  await joinNode(nodes[0], keys[0].secret, keys[1].publicKey);
  await joinNode(nodes[1], keys[1].secret, keys[0].publicKey);
}

/** fastd derives the public key only from a configuration that holds the secret. */
async function makeKeys(node: RoutedNode): Promise<{ secret: string; publicKey: string }> {
  const made = await run('fastd', ['--machine-readable', '--generate-key']);
  const secret = made.stdout.trim();
  const file = join(node.folder, `fastd-${node.index}.key`);
  writeFileSync(file, `secret "${secret}";\n`, { mode: 0o600 });
  const shown = await run('fastd', ['--machine-readable', '--show-key', '--config', file]);
  return { secret, publicKey: shown.stdout.trim() };
}

async function joinNode(node: RoutedNode, secret: string, peer: string): Promise<void> {
  const file = join(node.folder, `fastd-${node.index}.conf`);
  const { local, remote } = node;
  writeFileSync(file, fastdConfig({ local, remote, secret, peer }), { mode: 0o600 });
  const daemon = node.namespace.spawn('fastd', ['--config', file]);
  await waitForDevice(daemon, node, DEVICE);
  await routeInto(node, DEVICE, POD_MTU);
}

export const fastd: Plane = {
  id: 'fastd',
  label: 'fastd, method null',
  besides: 'authenticates the peer when it connects, not the packets',
  commands: { fastd: 'fastd' },
  core: false,
  build: async (link) =>
    buildRouted({
      link,
      podMtu: POD_MTU,
      version: await versionFrom('fastd', ['fastd', '--version'], /fastd v(\S+)/),
      join: joinNodes,
    }),
};
