/** What weft cluster check says: every node of the cluster as this one sees it, and as the others do. Pure. */
import * as z from 'zod';
import type { PeersPage } from '../../api/peers.ts';
import { type ReachPage, reachNodeShape } from '../../api/reach.ts';
import { nodeName } from '../../api/values.ts';
import { SCHEMA_VERSION } from '../../api/version.ts';

export const clusterNodeShape = z.object({
  key: reachNodeShape.shape.key,
  nodeName,
  subnets: reachNodeShape.shape.subnets,
  publicIps: reachNodeShape.shape.publicIps,
  self: reachNodeShape.shape.self,
  backend: z.string().nullable().describe('that its lease is used by; null: the lease is not used'),
  version: z.string().nullable().describe('of its weft; null: not known, or no weft'),
  mtu: z.int().nullable().describe('that it gives its pods, bytes; null: not known'),
  rttMs: z.number().nullable().describe('from this node; null: no answer, or this node'),
  largest: z
    .boolean()
    .nullable()
    .describe("a packet as large as pods' may be came back; null: not tried"),
  cutFrom: z.array(z.string()).describe('keys of other nodes that get no answer from it'),
  state: z
    .enum(['ok', 'unreachable', 'large-lost', 'cut', 'unused', 'unknown'])
    .describe(
      "unreachable: from this node · large-lost: pods' largest packets get lost · cut: from others · unused: its lease can't be used · unknown: not tried",
    ),
  why: z.string().describe('with state unused, else ""'),
});
export type ClusterNode = z.infer<typeof clusterNodeShape>;

export const clusterShape = z.looseObject({
  schemaVersion: z.literal(SCHEMA_VERSION),
  nodes: z.array(clusterNodeShape),
});
export type ClusterAnswer = z.infer<typeof clusterShape>;

export interface ClusterFacts {
  backend: string;
  reach: ReachPage;
  /** of the leases that are no peers */
  skipped: NonNullable<PeersPage['skipped']>;
  /** by key: whether a packet of the largest size came back; null: the daemon would not send one */
  largest: ReadonlyMap<string, boolean | null>;
}

export function clusterOf({ backend, reach, skipped, largest }: ClusterFacts): ClusterAnswer {
  const self = reach.nodes.find((node) => node.self)?.key;
  const cells = new Map(reach.cells.map((cell) => [`${cell.from} ${cell.to}`, cell]));
  const used = reach.nodes.map((node): ClusterNode => {
    const { key, nodeName: name = null, subnets, publicIps, version = null, mtu } = node;
    const own = cells.get(`${self} ${key}`);
    const cutFrom = reach.cells
      .filter(({ from, to, state }) => to === key && from !== self && state === 'lost')
      .map(({ from }) => from);
    const facts = { largest: largest.get(key) ?? null, cutFrom };
    const seen = node.self ? 'ok' : (own?.state ?? 'unknown');
    return {
      ...{ key, nodeName: name, subnets, publicIps, self: node.self, backend, version, mtu },
      ...{ rttMs: own?.rttMs ?? null, ...facts },
      // A node that left meanwhile is no good news either.
      state: largest.get(key) === null ? 'unknown' : stateOf(seen, facts),
      why: '',
    };
  });
  // One lease may be refused in each family.
  const known = new Set(used.map(({ key }) => key));
  const reasons = new Map<string, (typeof skipped)[number]>();
  for (const lease of skipped) if (!known.has(lease.key)) reasons.set(lease.key, lease);
  const unused = [...reasons.values()].map((lease): ClusterNode => {
    const { key, nodeName: name = null, why } = lease;
    return {
      ...{ key, nodeName: name, subnets: [], publicIps: [], self: false, backend: null },
      ...{ version: null, mtu: null, rttMs: null, largest: null, cutFrom: [] },
      ...{ state: 'unused', why },
    };
  });
  return { schemaVersion: SCHEMA_VERSION, nodes: [...used, ...unused] };
}

function stateOf(
  state: 'ok' | 'lost' | 'unknown',
  { largest, cutFrom }: Pick<ClusterNode, 'largest' | 'cutFrom'>,
): ClusterNode['state'] {
  if (state !== 'ok') return state === 'lost' ? 'unreachable' : 'unknown';
  if (largest === false) return 'large-lost';
  return cutFrom.length > 0 ? 'cut' : 'ok';
}

/** Whether pods of some nodes do not reach pods of others, or nothing is known of any other node. */
export function isBroken(answer: ClusterAnswer): boolean {
  return (
    isUntried(answer) || answer.nodes.some(({ state }) => state !== 'ok' && state !== 'unknown')
  );
}

/** There are other nodes, and no answer from any of them was waited for. */
export function isUntried({ nodes }: ClusterAnswer): boolean {
  const others = nodes.filter(({ self }) => !self);
  return others.length > 0 && others.every(({ state }) => state === 'unknown');
}
