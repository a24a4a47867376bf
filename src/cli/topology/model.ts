/** What a picture of the overlay shows: its nodes, and one link for each pair of them. */
import * as z from 'zod';
import { type ReachCell, type ReachPage, reachCellShape, reachNodeShape } from '../../api/reach.ts';
import { SCHEMA_VERSION } from '../../api/version.ts';

export const topologyShape = z.looseObject({
  schemaVersion: z.literal(SCHEMA_VERSION),
  backend: z.string(),
  /** this node's interface in the underlay */
  interface: z.string(),
  nodes: z.array(
    reachNodeShape
      .pick({ name: true, nodeName: true, key: true, subnets: true, self: true, kind: true })
      .extend({ publicIp: z.string() }),
  ),
  links: z.array(
    z.looseObject({
      /** names; this node is `a` in its own links */
      a: z.string(),
      b: z.string(),
      /** lost: in one direction at least */
      state: reachCellShape.shape.state,
      rttMs: z.number().nullable(),
      involvesSelf: z.boolean(),
    }),
  ),
});
export type Topology = z.infer<typeof topologyShape>;
export type TopologyNode = Topology['nodes'][number];
export type TopologyLink = Topology['links'][number];

export function topologyOf(
  status: { backend: string; interface: string },
  { nodes, cells }: Pick<ReachPage, 'nodes' | 'cells'>,
): Topology {
  const byPair = new Map(cells.map((cell) => [`${cell.from} ${cell.to}`, cell]));
  const links = nodes.flatMap((left, i) =>
    nodes.slice(i + 1).map((right) => {
      const [a, b] = right.self ? [right, left] : [left, right];
      const there = byPair.get(`${a.key} ${b.key}`);
      const back = byPair.get(`${b.key} ${a.key}`);
      const ends = { a: a.name, b: b.name, involvesSelf: a.self };
      return { ...ends, ...joined(there, back) };
    }),
  );
  const shown = nodes.map(({ name, nodeName, key, publicIps, subnets, self, kind }) => {
    return { name, nodeName, key, publicIp: publicIps[0] ?? '', subnets, self, kind };
  });
  return { schemaVersion: SCHEMA_VERSION, ...status, nodes: shown, links };
}

/** An echo needs both directions: what one end lost, the link lost. */
function joined(
  there: ReachCell | undefined,
  back: ReachCell | undefined,
): Pick<TopologyLink, 'state' | 'rttMs'> {
  const states = [there?.state, back?.state];
  const rttMs = there?.rttMs ?? back?.rttMs ?? null;
  if (states.includes('lost')) return { state: 'lost', rttMs: null };
  return { state: states.includes('ok') ? 'ok' : 'unknown', rttMs };
}

/** With more nodes a line for every pair hides more than it shows: only this node's links and the cut ones stay. */
export const ALL_LINKS_NODES_MAX = 12;

export function shownLinks({ nodes, links }: Topology): TopologyLink[] {
  const isCrowded = nodes.length > ALL_LINKS_NODES_MAX;
  return links.filter(
    (link) => link.involvesSelf || link.state === 'lost' || (!isCrowded && link.state === 'ok'),
  );
}

/** The lines about a node below its number: its name where nodes have names, its address, its subnets. */
export function linesOf({ nodeName, publicIp, subnets }: TopologyNode): string[] {
  return [...(nodeName == null ? [] : [nodeName]), publicIp, ...subnets];
}

/** What stands beside a node's number. */
export function remarkOf({ self, kind }: TopologyNode): string {
  if (self) return 'this node';
  return kind === 'weft' ? 'weft' : kind === 'other' ? 'no weftd' : 'unknown';
}
