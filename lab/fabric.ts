/** The underlay: what joins the nodes of a lab. */
import { EXIT, WeftError } from '../src/shared/errors.ts';
import type { LabScope, Namespace } from './namespace.ts';

export interface FabricOptions {
  /** MTU of every underlay device; default 1500 */
  mtu?: number;
  /**
   * `on` (default): veth as the kernel makes it, super-packets with partial checksums cross by reference.
   * `off`: what a NIC without any offload sees. No segmentation, no tunnel segmentation and no checksum offload on
   * either end of any veth, so packets have MTU size and finished checksums; receive coalescing (gro) stays on.
   * `wire`: a NIC without segmentation but with checksum offload: packets have MTU size; receive coalescing stays on.
   */
  offloads?: Offloads;
  /** `bridge` (default) for any number of nodes, `point-to-point` joins exactly two by one veth pair */
  shape?: 'bridge' | 'point-to-point';
}

export const OFFLOADS = ['on', 'off', 'wire'] as const;
export type Offloads = (typeof OFFLOADS)[number];

/** Name of the underlay device in every node. */
export const UNDERLAY_DEVICE = 'eth0';

/** Place of the namespace that holds the shared store. */
export const STORE_INDEX = 250;

const SEGMENTATION_OFF = [
  ['tso', 'off'],
  ['gso', 'off'],
  ['tx-udp_tnl-segmentation', 'off'],
  ['tx-udp_tnl-csum-segmentation', 'off'],
  ['tx-udp-segmentation', 'off'],
  ['gro', 'on'],
].flat();
/**
 * A NIC that can't keep up makes its queue wait. Without a queue a veth loses what its ring of 256 packets can't hold, for instance when the
 * processor that reads them is taken away for a moment; with one it stops the queue instead (Linux 6.16).
 */
const QUEUE = ['pfifo', 'limit', '10000'];
const ETHTOOL = { off: ['tx', 'off', ...SEGMENTATION_OFF], wire: SEGMENTATION_OFF };

/** A node's place in the underlay. */
export interface UnderlayAddress {
  address4: string;
  address6: string;
}

/** 10.99.0.<i> and fd00:99::<i> (i in hex), i counted from 1. */
export function underlayAddress(index: number): UnderlayAddress {
  return { address4: `10.99.0.${index}`, address6: `fd00:99::${index.toString(16)}` };
}

/**
 * Joins the node namespaces, in order; the i-th gets underlayAddress(i + 1) on eth0. `store` (bridge only) joins as one more, with
 * the address of STORE_INDEX.
 */
export async function buildFabric(
  scope: LabScope,
  nodes: readonly Namespace[],
  options: FabricOptions = {},
  store?: Namespace,
): Promise<void> {
  const mtu = options.mtu ?? 1500;
  const ends =
    options.shape === 'point-to-point'
      ? await joinPair(nodes)
      : await joinByBridge(scope, store ? [...nodes, store] : nodes);
  await Promise.all(ends.map((end) => setUp(end, mtu, options.offloads ?? 'on')));
  await Promise.all(nodes.map((node, i) => giveAddress(node, i + 1)));
  if (store) await giveAddress(store, STORE_INDEX);
}

interface End {
  namespace: Namespace;
  device: string;
}

async function setUp(end: End, mtu: number, offloads: Offloads): Promise<void> {
  await end.namespace.ip('link', 'set', end.device, 'mtu', String(mtu));
  if (offloads !== 'on') {
    await end.namespace.exec('ethtool', ['-K', end.device, ...ETHTOOL[offloads]]);
    await end.namespace.exec('tc', ['qdisc', 'add', 'dev', end.device, 'root', ...QUEUE]);
  }
  await end.namespace.ip('link', 'set', end.device, 'up');
}

async function joinPair(nodes: readonly Namespace[]): Promise<End[]> {
  const [a, b] = nodes;
  if (!a || !b || nodes.length !== 2) {
    throw new WeftError('ERR_LAB', EXIT.usage, 'a point-to-point underlay joins exactly two nodes');
  }
  await addVeth(a, UNDERLAY_DEVICE, b, UNDERLAY_DEVICE);
  return [a, b].map((namespace) => ({ namespace, device: UNDERLAY_DEVICE }));
}

async function joinByBridge(scope: LabScope, nodes: readonly Namespace[]): Promise<End[]> {
  const underlay = await scope.namespace('underlay');
  await underlay.ip('link', 'add', 'br0', 'type', 'bridge');
  await underlay.ip('link', 'set', 'br0', 'up');
  const ends: End[] = [];
  for (const [i, node] of nodes.entries()) {
    const port = `port${i + 1}`;
    await addVeth(underlay, port, node, UNDERLAY_DEVICE);
    await underlay.ip('link', 'set', port, 'master', 'br0');
    ends.push({ namespace: underlay, device: port }, { namespace: node, device: UNDERLAY_DEVICE });
  }
  return ends;
}

/** Makes a veth pair with each end already in its namespace, so names can't clash with the host's. */
export async function addVeth(
  a: Namespace,
  deviceA: string,
  b: Namespace,
  deviceB: string,
): Promise<void> {
  await a.ip('link', 'add', deviceA, 'type', 'veth', 'peer', 'name', deviceB, 'netns', b.name);
}

async function giveAddress(node: Namespace, index: number): Promise<void> {
  const { address4, address6 } = underlayAddress(index);
  await node.ip('addr', 'add', `${address4}/24`, 'dev', UNDERLAY_DEVICE);
  // Without duplicate address detection the address is usable at once.
  await node.ip('addr', 'add', `${address6}/64`, 'dev', UNDERLAY_DEVICE, 'nodad');
}
