/** The overlay as a picture: nodes on an ellipse; on light and on dark ground. */
import { clipLine } from '../render.ts';
import { COLOURS, labelOf } from './graph.ts';
import {
  linesOf,
  remarkOf,
  shownLinks,
  type Topology,
  type TopologyLink,
  type TopologyNode,
} from './model.ts';

const BOX = { width: 176, line: 16, head: 26, pad: 10 } as const;
/** Characters of a node's name that fit into a box. */
const NAME_COLUMNS = 24;
const FONT = 'ui-sans-serif, system-ui, sans-serif';
const INK = { text: '#24292f', quiet: '#57606a', box: '#ffffff', edge: '#8b949e', self: '#0969da' };
const TITLE_Y = 24;
/** With more nodes the lines of one that stands among the others run through them. */
const RING_NODES_MAX = 8;

interface Place {
  node: TopologyNode;
  x: number;
  y: number;
}

export function renderSvg(topology: Topology): string {
  const places = arrange(topology.nodes);
  const { width, height } = extent(places);
  const byName = new Map(places.map((place) => [place.node.name, place]));
  const links = shownLinks(topology);
  // This node's links and the cuts lie above the others', the boxes above all.
  const back = links.filter((link) => !link.involvesSelf && link.state === 'ok');
  const front = links.filter((link) => !back.includes(link));
  const line = (link: TopologyLink): string => drawLine(link, byName);
  const label = (link: TopologyLink): string => drawLabel(link, byName);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="${FONT}" role="img">`,
    `<title>${escaped(titleOf(topology))}</title>`,
    `<text x="16" y="${TITLE_Y}" font-size="14" font-weight="600" fill="${COLOURS.unknown}">${escaped(titleOf(topology))}</text>`,
    ...back.map(line),
    ...front.map(line),
    ...places.map(drawNode),
    ...front.map(label),
    '</svg>',
  ].join('\n');
}

function titleOf({ nodes, links, backend, interface: underlay }: Topology): string {
  const cuts = links.filter(({ state }) => state === 'lost').length;
  const lost = cuts === 0 ? 'no cuts' : cuts === 1 ? '1 cut link' : `${cuts} cut links`;
  return `weft · ${backend} over ${underlay} · ${nodes.length} nodes · ${lost}`;
}

/** This node at the top, the others clockwise in their order; with many of them it stands in the middle. */
function arrange(nodes: readonly TopologyNode[]): Place[] {
  const ordered = [...nodes].sort((a, b) => Number(b.self) - Number(a.self));
  const isStar = ordered.length > RING_NODES_MAX;
  const ring = isStar ? ordered.length - 1 : ordered.length;
  const radiusX = Math.max(270, (ring * (BOX.width + 50)) / (2 * Math.PI));
  const tallest = Math.max(...ordered.map(heightOf), 0);
  const radiusY = Math.max(170, isStar ? radiusX * 0.6 : 0);
  const centre = { x: radiusX + BOX.width / 2 + 24, y: radiusY + tallest / 2 + TITLE_Y + 24 };
  return ordered.map((node, i) => {
    if (isStar && i === 0) return { node, x: Math.round(centre.x), y: Math.round(centre.y) };
    const angle = (2 * Math.PI * i) / ring - Math.PI / 2;
    const x = centre.x + radiusX * Math.cos(angle);
    return { node, x: Math.round(x), y: Math.round(centre.y + radiusY * Math.sin(angle)) };
  });
}

function extent(places: readonly Place[]): { width: number; height: number } {
  const right = Math.max(...places.map(({ x }) => x + BOX.width / 2), 0);
  const bottom = Math.max(...places.map(({ y, node }) => y + heightOf(node) / 2), TITLE_Y);
  return { width: Math.round(right + 24), height: Math.round(bottom + 24) };
}

function heightOf(node: TopologyNode): number {
  return BOX.head + linesOf(node).length * BOX.line + BOX.pad;
}

function drawLine(link: TopologyLink, byName: ReadonlyMap<string, Place>): string {
  const [a, b] = endsOf(link, byName);
  const isQuiet = !link.involvesSelf && link.state === 'ok';
  const look = `stroke="${COLOURS[link.state]}" stroke-width="${isQuiet ? 1 : 2}" stroke-opacity="${isQuiet ? 0.35 : 1}"`;
  const dash = link.state === 'ok' ? '' : ' stroke-dasharray="6 5"';
  return `<line x1="${a.x}" y1="${a.y}" x2="${b.x}" y2="${b.y}" ${look}${dash}/>`;
}

/** Near the far end, where the lines of this node have parted. */
function drawLabel(link: TopologyLink, byName: ReadonlyMap<string, Place>): string {
  const text = labelOf(link);
  if (text === '') return '';
  const [a, b] = endsOf(link, byName);
  const part = link.involvesSelf ? 0.55 : 0.5;
  const [x, y] = [Math.round(a.x + (b.x - a.x) * part), Math.round(a.y + (b.y - a.y) * part)];
  const width = Math.round(text.length * 6.6) + 14;
  return [
    `<rect x="${x - width / 2}" y="${y - 10}" width="${width}" height="20" rx="10" fill="${INK.box}" stroke="${COLOURS[link.state]}"/>`,
    `<text x="${x}" y="${y + 4}" font-size="11" text-anchor="middle" fill="${INK.text}">${escaped(text)}</text>`,
  ].join('');
}

function drawNode({ node, x, y }: Place): string {
  const height = heightOf(node);
  const [left, top] = [x - BOX.width / 2, y - height / 2];
  const dash = node.kind === 'unknown' ? ' stroke-dasharray="4 4"' : '';
  const edge = node.self ? `stroke="${INK.self}" stroke-width="2.5"` : `stroke="${INK.edge}"`;
  const nodeName = node.nodeName && clipLine(node.nodeName, NAME_COLUMNS);
  const lines = linesOf({ ...node, nodeName }).map(
    (text, i) =>
      `<text x="${left + 12}" y="${top + BOX.head + 12 + i * BOX.line}" font-size="12" fill="${i === 0 ? INK.text : INK.quiet}">${escaped(text)}</text>`,
  );
  return [
    `<rect x="${left}" y="${top}" width="${BOX.width}" height="${height}" rx="8" fill="${INK.box}" ${edge}${dash}/>`,
    `<text x="${left + 12}" y="${top + 19}" font-size="13" font-weight="600" fill="${INK.text}">${escaped(node.name)}</text>`,
    `<text x="${left + BOX.width - 12}" y="${top + 19}" font-size="11" text-anchor="end" fill="${node.self ? INK.self : INK.quiet}">${escaped(remarkOf(node))}</text>`,
    ...lines,
  ].join('');
}

function endsOf(link: TopologyLink, byName: ReadonlyMap<string, Place>): [Place, Place] {
  return [byName.get(link.a) as Place, byName.get(link.b) as Place];
}

function escaped(text: string): string {
  const names: Record<string, string> = { '<': 'lt', '>': 'gt', '&': 'amp', '"': 'quot' };
  return text.replace(/[<>&"]/g, (sign) => `&${names[sign]};`);
}
