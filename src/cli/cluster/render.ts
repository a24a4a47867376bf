/** weft cluster check for people: a line for each node, and at the end what is wrong. */
import { renderMs } from '../ping/echoes.ts';
import { renderTable } from '../render.ts';
import type { Style } from '../style.ts';
import { type ClusterAnswer, type ClusterNode, isUntried } from './model.ts';

/** Nodes that are named in one line. */
const NAMES_MAX = 4;

export function renderCluster(answer: ClusterAnswer, style: Style): string {
  const { nodes } = answer;
  const hasNames = nodes.some(({ nodeName }) => nodeName != null);
  const named = <T>(name: T, rest: T[]): T[] => (hasNames ? [name, ...rest] : rest);
  const nameOf = new Map(nodes.map((node) => [node.key, nameIn(node)]));
  const head = ['SUBNET', 'NODE', 'BACKEND', 'VERSION', 'MTU', 'RTT', 'STATE'];
  const rows = nodes.map((node) =>
    named(node.nodeName ?? '-', [
      node.subnets[0] ?? '-',
      node.publicIps[0] ?? '-',
      node.backend ?? '-',
      node.version ?? 'unknown',
      node.mtu === null ? 'unknown' : String(node.mtu),
      node.rttMs === null ? '-' : `${renderMs(node.rttMs)} ms`,
      stateText(node, nameOf, style),
    ]),
  );
  return `${renderTable(named('NAME', head), rows)}\n\n${summaryOf(answer, style)}`;
}

/** What people call a node. */
function nameIn({ key, nodeName, publicIps }: ClusterNode): string {
  return nodeName ?? publicIps[0] ?? key;
}

function stateText(
  { state, self, cutFrom, why }: ClusterNode,
  nameOf: ReadonlyMap<string, string>,
  style: Style,
): string {
  switch (state) {
    case 'ok':
      return style.good(self ? 'ok, this node' : 'ok');
    case 'unreachable':
      return style.bad('UNREACHABLE');
    case 'large-lost':
      return style.bad("LARGE PACKETS ARE LOST: pods' MTU exceeds the path's; weft ping --sweep");
    case 'cut': {
      const names = cutFrom.slice(0, NAMES_MAX).map((key) => nameOf.get(key) ?? key);
      const more = cutFrom.length > NAMES_MAX ? ` and ${cutFrom.length - NAMES_MAX} more` : '';
      return style.bad(`${self ? 'this node, ' : ''}NO ANSWER TO ${names.join(', ')}${more}`);
    }
    case 'unused':
      return style.bad(`NOT USED: ${why}`);
    case 'unknown':
      return style.dim('unknown');
  }
}

function summaryOf(answer: ClusterAnswer, style: Style): string {
  const { nodes } = answer;
  if (isUntried(answer))
    return style.bad(
      `${nodes.length} nodes, no other one could be tried yet: weft status says why`,
    );
  const bad = nodes.filter(({ state }) => state !== 'ok' && state !== 'unknown').length;
  const unknown = nodes.filter(({ state }) => state === 'unknown').length;
  const rest = unknown > 0 ? style.dim(`, ${unknown} unknown`) : '';
  const count = nodes.length === 1 ? '1 node' : `${nodes.length} nodes`;
  if (bad === 0) return `${style.good(`${count}, all known nodes are ok`)}${rest}`;
  return `${style.bad(`${count}, ${bad} with trouble`)}${rest}`;
}
