/** weft ping --all: the matrix, rows from, columns to, its legend and every cut by name. */
import type { ReachCell, ReachNode, ReachPage } from '../../api/reach.ts';
import { renderTable } from '../render.ts';
import type { Style } from '../style.ts';
import { renderMs } from './echoes.ts';

/** Up to here a cell shows the round trip, and a column its node's name. */
const WIDE_NODES_MAX = 16;
/** With more nodes only the cuts are listed. */
const TABLE_NODES_MAX = 60;
const SIGNS = { ok: '✓', lost: '✗', unknown: '·' } as const;

export function renderMatrix(page: ReachPage, style: Style): string {
  const { nodes } = page;
  if (nodes.length < 2) return 'no peers: no other node holds a lease that this one can use';
  const parts = [renderCuts(page, style)];
  if (nodes.length <= TABLE_NODES_MAX && page.complete) {
    parts.unshift(renderCells(page, style), renderLegend(nodes, style));
  }
  return parts.join('\n\n');
}

function renderCells({ nodes, cells }: ReachPage, style: Style): string {
  const isWide = nodes.length <= WIDE_NODES_MAX;
  const byPair = new Map(cells.map((cell) => [`${cell.from} ${cell.to}`, cell]));
  const heads = nodes.map(({ name }) => (isWide ? name : name.slice(1)));
  const rows = nodes.map((from) => [
    from.name,
    ...nodes.map((to) => {
      if (from.key === to.key) return style.dim('-');
      return renderCell(byPair.get(`${from.key} ${to.key}`), isWide, style);
    }),
  ]);
  return renderTable(['from\\to', ...heads], rows);
}

function renderCell(cell: ReachCell | undefined, isWide: boolean, style: Style): string {
  const state = cell?.state ?? 'unknown';
  if (state === 'lost') return style.bad(SIGNS.lost);
  if (state === 'unknown') return style.dim(SIGNS.unknown);
  const rttMs = cell?.rttMs ?? null;
  return style.good(isWide && rttMs !== null ? renderMs(rttMs) : SIGNS.ok);
}

function renderLegend(nodes: readonly ReachNode[], style: Style): string {
  const nameOf = new Map(nodes.map((node) => [node.key, nameIn(node)]));
  const hasNames = nodes.some(({ nodeName }) => nodeName != null);
  const remark = ({ self, kind, via }: ReachNode): string => {
    if (self) return style.bold('this node');
    if (via !== null) return style.dim(`its row came through ${nameOf.get(via) ?? via}`);
    if (kind === 'other') return style.dim('no weftd answers there: its row is unknown');
    return kind === 'unknown' ? style.dim("couldn't get its row") : '';
  };
  const rows = nodes.map((node) => [
    node.name,
    ...(hasNames ? [node.nodeName ?? '-'] : []),
    node.publicIps[0] ?? '-',
    node.subnet,
    remark(node),
  ]);
  const head = ['', ...(hasNames ? ['NAME'] : []), 'NODE', 'SUBNET', ''];
  return `${renderTable(head, rows)}\ncells: round trip in ms, ✓ answered, ✗ no answer, · unknown`;
}

/** One line for each cell without an answer; a node that nobody reaches takes one line in all. */
function renderCuts(page: ReachPage, style: Style): string {
  const lost = page.cells.filter(({ state }) => state === 'lost');
  const unknown = page.cells.filter(({ state }) => state === 'unknown').length;
  const rest = unknown > 0 ? style.dim(`, ${unknown} pairs unknown`) : '';
  if (lost.length === 0) return `${style.good('all known pairs answer')}${rest}`;
  const unreachable = page.nodes.filter(({ key }) => isUnreachable(page, key));
  const gone = new Set(unreachable.map(({ key }) => key));
  const byKey = new Map(page.nodes.map((node) => [node.key, node]));
  const label = (key: string): string => {
    const node = byKey.get(key);
    return node ? `${nameIn(node)} (${node.publicIps[0] ?? node.subnet})` : key;
  };
  const lines = lost
    .filter(({ to }) => !gone.has(to))
    .map((cell) => `${label(cell.from)} → ${label(cell.to)}: no answer${familiesOf(cell, byKey)}`);
  const all = [...unreachable.map(({ key }) => `${label(key)}: no node reaches it`), ...lines];
  const head = style.bad(
    `${lost.length} ${lost.length === 1 ? 'pair' : 'pairs'} without an answer`,
  );
  return [`${head}${rest}`, ...all.map((line) => `  ${line}`)].join('\n');
}

/** What people call it, or else its number. */
function nameIn({ name, nodeName }: ReachNode): string {
  return nodeName ?? name;
}

/** Three or more look, and none gets an answer. */
function isUnreachable({ cells, nodes }: ReachPage, key: string): boolean {
  const lost = cells.filter(({ to, state }) => to === key && state === 'lost').length;
  // Each node whose row is known looked.
  const looked = nodes.filter((node) => node.kind === 'weft' && node.key !== key).length;
  return lost >= 3 && lost === looked;
}

/** Which family, where the node has both and only one is cut. */
function familiesOf(cell: ReachCell, byKey: ReadonlyMap<string, ReachNode>): string {
  const all = byKey.get(cell.to)?.subnets.length ?? 1;
  if (cell.lostFamilies.length === 0 || cell.lostFamilies.length >= all) return '';
  return ` over IPv${cell.lostFamilies.join(', IPv')}`;
}
