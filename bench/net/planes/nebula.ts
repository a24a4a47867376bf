/** Nebula: both nodes know each other's address, so there is no lighthouse. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../../lab/command.ts';
import { overlayAddress, versionFrom, waitForDevice } from './daemon.ts';
import type { Plane } from './plane.ts';
import { buildRouted, type RoutedNode } from './routed.ts';

const DEVICE = 'nebula0';
const PORT = 4242;
/** 1500 less IPv4 (20), UDP (8), Nebula's header (16) and the tag (16); its default of 1300 is for unknown paths */
const POD_MTU = 1440;

/** Nebula reads YAML; JSON is YAML. */
export function nebulaConfig(node: RoutedNode): string {
  const peer = overlayAddress(node.index === 1 ? 2 : 1);
  const anybody = [{ port: 'any', proto: 'any', host: 'any' }];
  const config = {
    pki: {
      ca: caFile(node, 'crt'),
      cert: nodeFile(node, 'crt'),
      key: nodeFile(node, 'key'),
    },
    static_host_map: { [peer]: [`${node.remote}:${PORT}`] },
    lighthouse: { am_lighthouse: false },
    listen: { host: node.local, port: PORT },
    cipher: 'aes',
    tun: {
      dev: DEVICE,
      mtu: POD_MTU,
      unsafe_routes: [{ route: node.remoteSubnet, via: peer, mtu: POD_MTU }],
    },
    firewall: { outbound: anybody, inbound: anybody },
    logging: { level: 'warning' },
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

function caFile(node: RoutedNode, ending: 'crt' | 'key'): string {
  return join(node.folder, `nebula-ca.${ending}`);
}

function nodeFile(node: RoutedNode, ending: 'crt' | 'key' | 'yml'): string {
  return join(node.folder, `nebula-${node.index}.${ending}`);
}

async function joinNodes(nodes: readonly [RoutedNode, RoutedNode]): Promise<void> {
  const [first, second] = nodes;
  const out = ['-out-crt', caFile(first, 'crt'), '-out-key', caFile(first, 'key')];
  await run('nebula-cert', ['ca', '-name', 'bench', ...out]);
  await sign(first, second.remoteSubnet);
  await sign(second, first.remoteSubnet);
  for (const node of nodes) {
    writeFileSync(nodeFile(node, 'yml'), nebulaConfig(node));
    const daemon = node.namespace.spawn('nebula', ['-config', nodeFile(node, 'yml')]);
    await waitForDevice(daemon, node, DEVICE, /<[^>]*\bUP\b/);
  }
}

/** The certificate names the subnet behind a node; without it the other side drops packets from there. */
async function sign(node: RoutedNode, ownSubnet: string): Promise<void> {
  const ca = ['-ca-crt', caFile(node, 'crt'), '-ca-key', caFile(node, 'key')];
  const out = ['-out-crt', nodeFile(node, 'crt'), '-out-key', nodeFile(node, 'key')];
  const holder = ['-name', `node${node.index}`, '-ip', `${overlayAddress(node.index)}/24`];
  await run('nebula-cert', ['sign', ...ca, ...out, ...holder, '-subnets', ownSubnet]);
}

export const nebula: Plane = {
  id: 'nebula',
  label: 'Nebula',
  besides: 'encrypts and authenticates (AES-256-GCM), stateful firewall',
  commands: { nebula: 'nebula', 'nebula-cert': 'nebula' },
  core: false,
  build: async (link) =>
    buildRouted({
      link,
      podMtu: POD_MTU,
      version: await versionFrom('nebula', ['nebula', '-version'], /Version: (\S+)/),
      join: joinNodes,
    }),
};
