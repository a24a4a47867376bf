/** nebula, a mesh overlay in user space. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../../src/lab/command.ts';
import type { Plane } from './plane.ts';
import { buildRouted, type RoutedNode } from './routed.ts';
import { waitForDevice } from './wait.ts';

const DEVICE = 'nebula0';
const PORT = 4242;
/** nebula's default */
const MTU = 1300;

const overlayAddress = (index: number): string => `192.168.100.${index}`;
const otherIndex = (node: RoutedNode): number => 3 - node.index;

async function makeAuthority(folder: string): Promise<void> {
  const files = ['-out-crt', join(folder, 'ca.crt'), '-out-key', join(folder, 'ca.key')];
  await run('nebula-cert', ['ca', '-name', 'bench', ...files]);
}

async function makeCertificate({ folder, index }: RoutedNode): Promise<void> {
  const authority = ['-ca-crt', join(folder, 'ca.crt'), '-ca-key', join(folder, 'ca.key')];
  const name = join(folder, `node${index}`);
  const files = ['-out-crt', `${name}.crt`, '-out-key', `${name}.key`];
  const node = ['-name', `node${index}`, '-ip', `${overlayAddress(index)}/24`];
  const subnets = ['-subnets', `10.244.${index}.0/24`];
  await run('nebula-cert', ['sign', ...authority, ...node, ...subnets, ...files]);
}

/** JSON, which is YAML as well. */
export function nebulaConfig(node: RoutedNode): string {
  const name = join(node.folder, `node${node.index}`);
  const far = overlayAddress(otherIndex(node));
  const any = [{ port: 'any', proto: 'any', host: 'any' }];
  return JSON.stringify({
    pki: { ca: join(node.folder, 'ca.crt'), cert: `${name}.crt`, key: `${name}.key` },
    static_host_map: { [far]: [`${node.remote}:${PORT}`] },
    lighthouse: { am_lighthouse: false, hosts: [] },
    listen: { host: node.local, port: PORT },
    tun: { dev: DEVICE, mtu: MTU, unsafe_routes: [{ route: node.remoteSubnet, via: far }] },
    firewall: { outbound: any, inbound: any },
  });
}

async function start(node: RoutedNode): Promise<void> {
  await makeCertificate(node);
  const file = join(node.folder, `nebula${node.index}.yml`);
  writeFileSync(file, nebulaConfig(node));
  node.namespace.spawn('nebula', ['-config', file]);
  await waitForDevice(node.namespace, DEVICE);
}

export const nebula: Plane = {
  id: 'nebula',
  label: 'nebula',
  besides: 'encrypts and authenticates (AES-256-GCM), filters by certificate',
  commands: { nebula: 'nebula', 'nebula-cert': 'nebula' },
  build: async (link) => {
    const { stdout } = await run('nebula', ['-version']);
    return buildRouted({
      link,
      podMtu: MTU,
      version: `nebula ${stdout.replace('Version:', '').trim()}`,
      join: async (nodes) => {
        await makeAuthority(nodes[0].folder);
        for (const node of nodes) await start(node);
      },
    });
  },
};
