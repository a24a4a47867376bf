/** Pods that talk while something happens. */
import assert from 'node:assert/strict';
import type { Lab } from '../../lab/lab.ts';
import { ping } from '../../lab/traffic.ts';

/** Number of the pod that asks, and of the one that answers. */
export type PodPair = readonly [number, number];

/** 100 packets a second over every pair while something happens; not one may be lost. */
export async function withoutLoss(
  lab: Lab,
  pairs: readonly PodPair[],
  happen: () => Promise<void>,
): Promise<void> {
  let isOver = false;
  const losses: number[] = [];
  const talk = async ([from, to]: PodPair): Promise<void> => {
    const options = { count: 100, intervalMs: 10 };
    do losses.push((await ping(lab.pod(from), lab.pod(to), options)).lossPct);
    while (!isOver);
  };
  const talks = Promise.all(pairs.map(talk));
  try {
    await happen();
  } finally {
    isOver = true;
    await talks;
  }
  assert.deepEqual(
    losses.filter((loss) => loss > 0),
    [],
  );
}
