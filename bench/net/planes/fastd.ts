/** fastd with method "null": a userspace tunnel of one packet per system call, unencrypted. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../../src/lab/command.ts';
import type { Plane } from './plane.ts';
import { buildRouted, type RoutedNode } from './routed.ts';
import { waitForDevice } from './wait.ts';

const DEVICE = 'fastd0';
const PORT = 10_000;
const MTU = 1450;

interface Keys {
  secret: string;
  public: string;
}

async function makeKeys(): Promise<Keys> {
  const { stdout } = await run('fastd', ['--generate-key']);
  const find = (name: string): string =>
    new RegExp(`${name}: ([0-9a-f]{64})`).exec(stdout)?.[1] ?? '';
  return { secret: find('Secret'), public: find('Public') };
}

/** fastd wants keys for the handshake even where the method protects nothing. */
export function fastdConfig(node: RoutedNode, own: Keys, far: Keys): string {
  return `mode tun;
interface "${DEVICE}";
bind ${node.local}:${PORT};
method "null";
mtu ${MTU};
secret "${own.secret}";
peer "far" { key "${far.public}"; remote ${node.remote} port ${PORT}; }
`;
}

async function start(node: RoutedNode, own: Keys, far: Keys): Promise<void> {
  const file = join(node.folder, `fastd${node.index}.conf`);
  writeFileSync(file, fastdConfig(node, own, far), { mode: 0o600 });
  node.namespace.spawn('fastd', ['--config', file]);
  await waitForDevice(node.namespace, DEVICE);
  await node.namespace.ip('link', 'set', DEVICE, 'up');
  await node.namespace.ip('route', 'add', node.remoteSubnet, 'dev', DEVICE);
}

export const fastd: Plane = {
  id: 'fastd',
  label: 'fastd, method null',
  besides: 'authenticates peers at the handshake only',
  commands: { fastd: 'fastd' },
  build: async (link) => {
    const { stdout } = await run('fastd', ['--version']);
    return buildRouted({
      link,
      podMtu: MTU,
      version: stdout.trim(),
      join: async ([a, b]) => {
        const keys = [await makeKeys(), await makeKeys()] as const;
        await start(a, keys[0], keys[1]);
        await start(b, keys[1], keys[0]);
      },
    });
  },
};
