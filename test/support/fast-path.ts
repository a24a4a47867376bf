/** Labs with the fast path, and what their nodes say of it. */
import assert from 'node:assert/strict';
import type { Lab } from '../../lab/lab.ts';
import { transferHash } from '../../lab/transfer.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import type { StatusPage } from '../../src/api/status.ts';
import { statusOf } from './node-status.ts';
import { until } from './until.ts';

export { statusOf };

export const BYTES = 100_000_000;
export const WEFT = { kind: 'weft' } as const;
export const KERNEL = { kind: 'kernel' } as const;
export const ON = { fastPath: 'on' } as const;

export const nodeOf = (lab: Lab, i: number): WeftNode => lab.weftNodes[i] as WeftNode;

export async function fastOf(node: WeftNode): Promise<NonNullable<StatusPage['fastPath']>> {
  const { fastPath } = await statusOf(node);
  assert.ok(fastPath);
  return fastPath;
}

/** On, and for every peer of an overlay of IPv4: one that has just come waits for a look. */
export const isOn = (node: WeftNode, limitMs?: number): Promise<void> =>
  until(
    'the fast path is on for all peers',
    async () => {
      const { fastPath, peers } = await statusOf(node);
      return fastPath?.on === true && fastPath.peers === peers.total;
    },
    limitMs,
  );

export const isOff = (node: WeftNode, why: RegExp): Promise<void> =>
  until(`the fast path is off: ${why}`, async () => {
    const fast = await fastOf(node);
    return !fast.on && why.test(fast.why);
  });

/** What went past the workers. */
export const carried = async (node: WeftNode): Promise<Record<string, number>> =>
  (await fastOf(node)).counters;

/** At once. */
export async function bothWays(lab: Lab): Promise<void> {
  const [a, b] = [lab.pod(0), lab.pod(1)];
  const results = await Promise.all([transferHash(a, b, BYTES), transferHash(b, a, BYTES)]);
  assert.ok(results.every(({ equal }) => equal));
}

/** Packets that went on, and those that were dropped. */
export function sumOf(
  { counters = {}, drops }: StatusPage,
  direction: 'outbound' | 'inbound',
): number {
  const left = direction === 'outbound' ? counters['sentPackets'] : counters['deliveredPackets'];
  return Object.values(drops?.[direction] ?? {}).reduce((all, count) => all + count, left ?? 0);
}
