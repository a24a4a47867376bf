/** n2n, a peer-to-peer overlay in user space: an edge on each node, a supernode that introduces them. */
import type { Plane } from './plane.ts';
import { buildRouted, type RoutedNode } from './routed.ts';
import { packageVersion, waitForDevice } from './wait.ts';

const DEVICE = 'n2n0';
const SUPERNODE_PORT = '7654';
const EDGE_PORT = '7655';
/** n2n's default */
const MTU = 1400;

const overlayAddress = (index: number): string => `192.168.101.${index}`;

async function start(node: RoutedNode, supernode: string): Promise<void> {
  const device = ['-d', DEVICE, '-a', overlayAddress(node.index), '-s', '255.255.255.0'];
  const group = ['-c', 'bench', '-k', 'no-secret', '-l', `${supernode}:${SUPERNODE_PORT}`];
  const rest = ['-p', EDGE_PORT, '-M', String(MTU), '-u', '0', '-g', '0', '-r'];
  node.namespace.spawn('edge', [...device, ...group, ...rest]);
  await waitForDevice(node.namespace, DEVICE);
  const via = overlayAddress(3 - node.index);
  await node.namespace.ip('route', 'add', node.remoteSubnet, 'via', via, 'dev', DEVICE, 'onlink');
}

export const n2n: Plane = {
  id: 'n2n',
  label: 'n2n',
  besides: 'encrypts (Twofish)',
  commands: { edge: 'n2n', supernode: 'n2n' },
  build: async (link) => {
    return buildRouted({
      link,
      podMtu: MTU,
      version: `n2n ${await packageVersion('n2n')}`,
      join: async (nodes) => {
        const [{ namespace, local }] = nodes;
        namespace.spawn('supernode', ['-l', SUPERNODE_PORT]);
        for (const node of nodes) await start(node, local);
      },
    });
  },
};
