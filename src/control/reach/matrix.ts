/** Everybody's rows → one matrix. Pure. */
import type { ReachCell, ReachNode, ReachPage } from '../../api/reach.ts';
import type { Peer } from '../../cluster/peers.ts';
import { nodeNameOf, type Registry } from '../../cluster/registry.ts';
import {
  formatAddress,
  formatPrefix,
  type Prefix,
  parseAddress,
  type Words,
} from '../../shared/address.ts';
import type { Row } from './protocol.ts';

/** With more nodes only this node's row and the lost cells are listed. */
export const FULL_NODES_MAX = 100;

export function selfNode(
  key: string,
  subnets: readonly Prefix[],
  publicIps: readonly string[],
): ReachNode {
  const node = {
    ...{ key, name: '', nodeName: null, subnet: '' },
    subnets: subnets.map(formatPrefix),
  };
  return { ...node, publicIps: [...publicIps], self: true, kind: 'weft', mtu: null, via: null };
}

/** One per lease key; a dual-stack node is two peers. */
export function peerNodes(peers: readonly Peer[]): ReachNode[] {
  const nodes = new Map<string, ReachNode>();
  for (const { key, subnet, address } of [...peers].sort((a, b) => a.family - b.family)) {
    const fresh = {
      ...{ key, name: '', nodeName: null, subnet: '' },
      ...{ subnets: [], publicIps: [], self: false },
    };
    const node: ReachNode = nodes.get(key) ?? { ...fresh, kind: 'unknown', mtu: null, via: null };
    node.subnets.push(formatPrefix(subnet));
    node.publicIps.push(formatAddress(address));
    nodes.set(key, node);
  }
  return [...nodes.values()];
}

/** Rows of nodes that are not listed, and cells towards such, are left out: the others' lists may be newer or older, or lies. */
export function matrixOf(
  unnamed: readonly ReachNode[],
  rows: ReadonlyMap<string, Row>,
  registry: Pick<Registry, 'keysAreNodeNames'> = {},
): ReachPage {
  const nodes = named(unnamed, rows, registry);
  const complete = nodes.length <= FULL_NODES_MAX;
  const listed = new Set(nodes.map(({ key }) => key));
  const cells: ReachCell[] = [];
  for (const { key: from, self } of nodes) {
    const known = groupByKey(rows.get(from));
    for (const to of complete ? listed : known.keys()) {
      if (from === to || !listed.has(to)) continue;
      const cell = { from, to, ...merge(known.get(to) ?? []) };
      if (complete || self || cell.state === 'lost') cells.push(cell);
    }
  }
  return { nodes, cells, complete };
}

function named(
  nodes: readonly ReachNode[],
  rows: ReadonlyMap<string, Row>,
  registry: Pick<Registry, 'keysAreNodeNames'>,
): ReachNode[] {
  const place = ({ publicIps: [first = ''] }: ReachNode): Words =>
    parseAddress(first) ?? [0, 0, 0, 0];
  const order = (a: ReachNode, b: ReachNode): number => {
    const [left, right] = [place(a), place(b)];
    const at = [0, 1, 2, 3].find((i) => left[i] !== right[i]);
    if (at === undefined) return a.key < b.key ? -1 : 1;
    return ((left[at] as number) >>> 0) - ((right[at] as number) >>> 0);
  };
  return [...nodes].sort(order).map((node, i) => {
    const { mtu = null, version = null } = rows.get(node.key) ?? {};
    const names = { name: `n${i + 1}`, nodeName: nodeNameOf(registry, node.key) };
    return { ...node, ...names, subnet: node.subnets[0] ?? '', mtu, version };
  });
}

function groupByKey(row: Row | undefined): Map<string, Row['cells']> {
  const groups = new Map<string, Row['cells']>();
  for (const cell of row?.cells ?? [])
    groups.set(cell.key, [...(groups.get(cell.key) ?? []), cell]);
  return groups;
}

/** One family without an answer is a cut. */
function merge(cells: Row['cells']): Omit<ReachCell, 'from' | 'to'> {
  const lostFamilies = cells.flatMap(({ state, family }) => (state === 'lost' ? family : []));
  const answered = cells.find(({ state }) => state === 'ok');
  const ratios = cells.flatMap(({ lossRatio }) => lossRatio ?? []);
  return {
    state: lostFamilies.length > 0 ? 'lost' : answered ? 'ok' : 'unknown',
    rttMs: answered?.rttMs ?? null,
    lossRatio: ratios.length > 0 ? Math.max(...ratios) : null,
    lostFamilies,
  };
}
