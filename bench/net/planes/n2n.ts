/** n2n: an edge on either node, and on the first also the supernode that introduces them. */
import { overlayAddress, versionFrom, waitForDevice } from './daemon.ts';
import type { Plane } from './plane.ts';
import { buildRouted, type RoutedNode } from './routed.ts';

const DEVICE = 'n2n0';
const SUPERNODE_PORT = 7654;
const EDGE_PORT = 7655;
/**
 * Measured: what does not compress leaves as an IPv4 packet 138 bytes longer. With n2n's own default of 1400 the kernel
 * would send every full packet as two fragments.
 */
const POD_MTU = 1360;
/** Registering takes an edge some seconds. */
const TIMEOUT_MS = 40_000;

export function edgeArguments(node: RoutedNode, supernode: string): string[] {
  return [
    ['-d', DEVICE],
    ['-a', overlayAddress(node.index), '-s', '255.255.255.0'],
    ['-m', `02:00:00:97:00:0${node.index}`],
    ['-M', String(POD_MTU)],
    ['-c', 'bench', '-k', 'not-a-secret'],
    ['-l', `${supernode}:${SUPERNODE_PORT}`, '-p', String(EDGE_PORT)],
    // packets for addresses behind an edge pass
    ['-r'],
  ].flat();
}

async function joinNodes(nodes: readonly [RoutedNode, RoutedNode]): Promise<void> {
  const [first] = nodes;
  first.namespace.spawn('supernode', ['-l', String(SUPERNODE_PORT)]);
  for (const node of nodes) {
    const daemon = node.namespace.spawn('edge', edgeArguments(node, first.local));
    // The edge gives the address, then the mask, then the MTU; a route added before would go with the mask.
    await waitForDevice(daemon, node, DEVICE, new RegExp(`<[^>]*\\bUP\\b.* mtu ${POD_MTU} `));
    const gateway = overlayAddress(node.index === 1 ? 2 : 1);
    await node.namespace.ip('route', 'add', node.remoteSubnet, 'via', gateway);
  }
}

export const n2n: Plane = {
  id: 'n2n',
  label: 'n2n',
  besides: 'compresses (LZO) and encrypts (Twofish)',
  commands: { edge: 'n2n', supernode: 'n2n' },
  core: false,
  build: async (link) =>
    buildRouted({
      link,
      podMtu: POD_MTU,
      version: await versionFrom('n2n', ['edge', '-h'], /n2n v\.(\S+)/),
      join: joinNodes,
      timeoutMs: TIMEOUT_MS,
    }),
};
