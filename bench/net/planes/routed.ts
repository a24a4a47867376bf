/** A pair of nodes without weft: the same underlay and pods as in the lab, joined by plain routes or by somebody else's overlay. */

import { setTimeout as sleep } from 'node:timers/promises';
import { buildFabric, underlayAddress } from '../../../lab/fabric.ts';
import { LabScope, type Namespace } from '../../../lab/namespace.ts';
import { type LabNode, mustParsePrefix } from '../../../lab/node.ts';
import { Pod } from '../../../lab/pod.ts';
import { ping } from '../../../lab/traffic.ts';
import type { Link } from '../links.ts';
import { kernelRelease } from './lab-plane.ts';
import type { Plane, Rig } from './plane.ts';

/** One node: underlay address 10.99.0.<i> or fd00:99::<i> on eth0, pods in 10.244.<i>.0/24 or fd00:244:0:<i>::/64. */
export interface RoutedNode {
  index: number;
  namespace: Namespace;
  /** own and the other node's underlay address */
  local: string;
  remote: string;
  /** subnet of the other node's pods */
  remoteSubnet: string;
  /** for files of this node; removed with the rig */
  folder: string;
}

export interface RoutedOptions {
  link: Link;
  podMtu: number;
  version: string;
  /** Joins the nodes: starts daemons (namespace.spawn ends them with the rig), makes devices, routes remoteSubnet. */
  join(nodes: readonly [RoutedNode, RoutedNode]): Promise<void>;
  /** how long the pods may take to reach each other; default 15 s */
  timeoutMs?: number;
}

const INDICES = [1, 2] as const;

/** Builds underlay, nodes and pods and waits until the pods reach each other. */
export async function buildRouted(options: RoutedOptions): Promise<Rig> {
  const scope = await LabScope.open();
  try {
    return await setUp(scope, options);
  } catch (error) {
    await scope.close();
    throw error;
  }
}

async function setUp(scope: LabScope, options: RoutedOptions): Promise<Rig> {
  const spaces = [await scope.namespace('n1'), await scope.namespace('n2')] as const;
  await buildFabric(scope, spaces, {
    shape: 'point-to-point',
    offloads: options.link.offloads,
    mtu: options.link.underlayMtu,
  });
  const { family } = options.link;
  const node = (i: 0 | 1): RoutedNode => ({
    index: INDICES[i],
    namespace: spaces[i],
    local: underlay(INDICES[i], family),
    remote: underlay(INDICES[1 - i] as number, family),
    remoteSubnet: podSubnet(INDICES[1 - i] as number, family),
    folder: scope.tempDir,
  });
  const pods = [
    await Pod.create(scope, 'p1', labNode(1, spaces[0], options)),
    await Pod.create(scope, 'p2', labNode(2, spaces[1], options)),
  ] as const;
  await options.join([node(0), node(1)]);
  await waitUntilReached(pods[0], pods[1], family, options.timeoutMs ?? 15_000);
  return {
    from: { namespace: pods[0].namespace, address: pods[0].address(family) },
    to: { namespace: pods[1].namespace, address: pods[1].address(family) },
    nodes: spaces,
    podMtu: options.podMtu,
    version: options.version,
    close: async () => {
      const failures = await scope.close();
      if (failures.length > 0) throw new Error(`could not take down: ${failures.join('; ')}`);
    },
  };
}

function underlay(index: number, family: 4 | 6): string {
  const { address4, address6 } = underlayAddress(index);
  return family === 4 ? address4 : address6;
}

function podSubnet(index: number, family: 4 | 6): string {
  return family === 4 ? `10.244.${index}.0/24` : `fd00:244:0:${index}::/64`;
}

function labNode(
  index: number,
  namespace: Namespace,
  { podMtu, link: { family } }: RoutedOptions,
): LabNode {
  const subnet = mustParsePrefix(podSubnet(index, family));
  return {
    name: `n${index}`,
    kind: 'other',
    namespace,
    underlay: underlayAddress(index),
    network: { ...(family === 4 ? { subnet4: subnet } : { subnet6: subnet }), mtu: podMtu },
    start: async () => {},
    stop: async () => {},
  };
}

async function waitUntilReached(
  from: Pod,
  to: Pod,
  family: 4 | 6,
  timeoutMs: number,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (Date.now() < deadline) {
    const result = await ping(from, to, { family, count: 1, waitMs: 500 });
    if (result.received > 0) return;
    await sleep(100);
  }
  throw new Error(`no pod answers after ${timeoutMs} ms`);
}

/** No overlay: every node routes the other's pod subnet over the underlay (flannel's host-gw). */
export const hostGateway: Plane = {
  id: 'none',
  label: 'no overlay (host-gw routes)',
  besides: '',
  commands: {},
  core: true,
  build: (link) =>
    buildRouted({
      link,
      podMtu: link.underlayMtu,
      version: kernelRelease(),
      join: async (nodes) => {
        for (const { namespace, remote, remoteSubnet } of nodes)
          await namespace.ip('route', 'add', remoteSubnet, 'via', remote);
      },
    }),
};
