/** The overlay for programs that draw: mermaid (GitHub renders it) and Graphviz' dot. */
import { renderMs } from '../ping/echoes.ts';
import {
  linesOf,
  remarkOf,
  shownLinks,
  type Topology,
  type TopologyLink,
  type TopologyNode,
} from './model.ts';

/** Read well on light and on dark ground. */
export const COLOURS = { ok: '#2da44e', lost: '#d1383d', unknown: '#8b949e' } as const;

export function renderMermaid(topology: Topology): string {
  const links = shownLinks(topology);
  const lines = topology.nodes.map((node) => `  ${idOf(node.name)}["${mermaidLabel(node)}"]`);
  const edges = links.map((link) => {
    const label = labelOf(link);
    const [from, to] = [idOf(link.a), idOf(link.b)];
    const line = link.state === 'ok' ? '---' : '-.-';
    return `  ${from} ${line}${label === '' ? '' : `|${label}|`} ${to}`;
  });
  const colours = links.map(({ state }, i) => `  linkStyle ${i} stroke:${COLOURS[state]}`);
  const self = topology.nodes.filter((node) => node.self).map(({ name }) => idOf(name));
  const marks = self.map((id) => `  style ${id} stroke-width:3px`);
  return ['graph LR', ...lines, ...edges, ...colours, ...marks].join('\n');
}

function mermaidLabel(node: TopologyNode): string {
  return nodeLines(node)
    .map((line) => line.replace(/[^\w.:/ ,()-]/g, (sign) => `#${sign.codePointAt(0)};`))
    .join('<br/>');
}

export function renderDot(topology: Topology): string {
  const nodes = topology.nodes.map((node) => {
    const label = nodeLines(node).map(dotText).join('\\n');
    return `  ${idOf(node.name)} [label="${label}"${node.self ? ', penwidth=2' : ''}];`;
  });
  const edges = shownLinks(topology).map((link) => {
    const style = link.state === 'ok' ? 'solid' : 'dashed';
    const look = `color="${COLOURS[link.state]}", style=${style}`;
    return `  ${idOf(link.a)} -- ${idOf(link.b)} [label="${dotText(labelOf(link))}", ${look}];`;
  });
  const head = ['graph weft {', '  layout=circo;', '  node [shape=box, style=rounded];'];
  return [...head, ...nodes, ...edges, '}'].join('\n');
}

function dotText(text: string): string {
  return text.replace(/[\\"]/g, (sign) => `\\${sign}`);
}

/** Names come from the daemon; an identifier must be one whatever it says. */
function idOf(name: string): string {
  return name.replace(/\W/g, '_');
}

function nodeLines(node: TopologyNode): string[] {
  return [`${node.name} (${remarkOf(node)})`, ...linesOf(node)];
}

/** Of other nodes' links only the cuts are told. */
export function labelOf({ state, rttMs, involvesSelf }: TopologyLink): string {
  if (state === 'lost') return 'no answer';
  if (!involvesSelf) return '';
  return state === 'ok' && rttMs !== null ? `${renderMs(rttMs)} ms` : 'unknown';
}
