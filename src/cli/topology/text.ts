/** The overlay as a tree below this node. */
import { renderMs } from '../ping/echoes.ts';
import { renderTable } from '../render.ts';
import type { Style } from '../style.ts';
import { remarkOf, type Topology, type TopologyLink, type TopologyNode } from './model.ts';

export function renderText(topology: Topology, style: Style): string {
  const { nodes, links, backend } = topology;
  const self = nodes.find((node) => node.self);
  if (!self) return 'no lease yet';
  const own = new Map(links.filter((link) => link.involvesSelf).map((link) => [link.b, link]));
  const head = [
    `${style.bold(self.name)}  ${named(self)}${self.publicIp} on ${topology.interface}  ${self.subnets.join(', ')}  ${backend}, this node`,
  ];
  const others = nodes.filter((node) => !node.self);
  const rows = others.map((node, i) => [
    `${i === others.length - 1 ? '└─' : '├─'} ${node.name}`,
    ...(self.nodeName == null ? [] : [node.nodeName ?? '-']),
    node.publicIp,
    node.subnets.join(', '),
    stateText(own.get(node.name), style),
    style.dim(remarkOf(node)),
  ]);
  const tree = rows.length === 0 ? ['└─ no peers'] : tableLines(rows);
  const cuts = links.filter((link) => link.state === 'lost' && !link.involvesSelf);
  const nameOf = new Map(nodes.map(({ name, nodeName }) => [name, nodeName ?? name]));
  const between = cuts.map(({ a, b }) => style.bad(`   ${nameOf.get(a)} ✗ ${nameOf.get(b)}`));
  return [...head, ...tree, ...(cuts.length > 0 ? ['cut between others:', ...between] : [])].join(
    '\n',
  );
}

function named({ nodeName }: TopologyNode): string {
  return nodeName == null ? '' : `${nodeName}  `;
}

function tableLines(rows: readonly (readonly string[])[]): string[] {
  const head = (rows[0] ?? []).map(() => '');
  return renderTable(head, rows).split('\n').slice(1);
}

function stateText(link: TopologyLink | undefined, style: Style): string {
  if (link?.state === 'lost') return style.bad('✗ no answer');
  if (link?.state !== 'ok') return style.dim('· unknown');
  return style.good(link.rttMs === null ? '✓' : `✓ ${renderMs(link.rttMs)} ms`);
}
