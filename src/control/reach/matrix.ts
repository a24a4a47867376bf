/** Everybody's rows → one matrix. Pure. */

import type { Peer } from '../../cluster/peers.ts';
import {
  formatAddress,
  formatPrefix,
  type Prefix,
  parseAddress,
  type Words,
} from '../../shared/address.ts';
import type { Row } from './protocol.ts';
import type { CellState } from './row.ts';

/** With more nodes only this node's row and the lost cells are listed. */
export const FULL_NODES_MAX = 100;

/** weft: its row is known · other: it answers echoes, but no weftd answers on the port · unknown: neither */
export type NodeKind = 'weft' | 'other' | 'unknown';

export interface MatrixNode {
  key: string;
  /** n1, n2, … in the order of the public addresses: the same on every node that sees the same leases */
  name: string;
  /** the first of subnets */
  subnet: string;
  /** IPv4 first */
  subnets: string[];
  publicIps: string[];
  self: boolean;
  kind: NodeKind;
  /** key of the node through which its row came; null: from itself */
  via: string | null;
}

export interface MatrixCell {
  from: string;
  to: string;
  state: CellState;
  /** of the first family that answers */
  rttMs: number | null;
  lossRatio: number | null;
  /** families without an answer, where state is lost */
  lostFamilies: (4 | 6)[];
}

export interface Matrix {
  nodes: MatrixNode[];
  cells: MatrixCell[];
  /** false: only this node's row and the lost cells are listed */
  complete: boolean;
}

export function selfNode(
  key: string,
  subnets: readonly Prefix[],
  publicIps: readonly string[],
): MatrixNode {
  const node = { key, name: '', subnet: '', subnets: subnets.map(formatPrefix) };
  return { ...node, publicIps: [...publicIps], self: true, kind: 'weft', via: null };
}

/** One per lease key; a dual-stack node is two peers. */
export function peerNodes(peers: readonly Peer[]): MatrixNode[] {
  const nodes = new Map<string, MatrixNode>();
  for (const { key, subnet, address } of [...peers].sort((a, b) => a.family - b.family)) {
    const fresh = { key, name: '', subnet: '', subnets: [], publicIps: [], self: false, via: null };
    const node: MatrixNode = nodes.get(key) ?? { ...fresh, kind: 'unknown' };
    node.subnets.push(formatPrefix(subnet));
    node.publicIps.push(formatAddress(address));
    nodes.set(key, node);
  }
  return [...nodes.values()];
}

/** Rows of nodes that are not listed, and cells towards such, are left out: the others' lists may be newer or older, or lies. */
export function matrixOf(unnamed: readonly MatrixNode[], rows: ReadonlyMap<string, Row>): Matrix {
  const nodes = named(unnamed);
  const complete = nodes.length <= FULL_NODES_MAX;
  const listed = new Set(nodes.map(({ key }) => key));
  const cells: MatrixCell[] = [];
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

function named(nodes: readonly MatrixNode[]): MatrixNode[] {
  const place = ({ publicIps: [first = ''] }: MatrixNode): Words =>
    parseAddress(first) ?? [0, 0, 0, 0];
  const order = (a: MatrixNode, b: MatrixNode): number => {
    const [left, right] = [place(a), place(b)];
    const at = [0, 1, 2, 3].find((i) => left[i] !== right[i]);
    if (at === undefined) return a.key < b.key ? -1 : 1;
    return ((left[at] as number) >>> 0) - ((right[at] as number) >>> 0);
  };
  return [...nodes].sort(order).map((node, i) => {
    return { ...node, name: `n${i + 1}`, subnet: node.subnets[0] ?? '' };
  });
}

function groupByKey(row: Row | undefined): Map<string, Row['cells']> {
  const groups = new Map<string, Row['cells']>();
  for (const cell of row?.cells ?? [])
    groups.set(cell.key, [...(groups.get(cell.key) ?? []), cell]);
  return groups;
}

/** One family without an answer is a cut. */
function merge(cells: Row['cells']): Omit<MatrixCell, 'from' | 'to'> {
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
