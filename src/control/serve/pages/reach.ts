/** /reach: who reaches whom, by a round of echoes that is some seconds old at most. */
import type { ReachPage } from '../../../api/reach.ts';
import type { Node } from '../../node.ts';
import type { Reach } from '../../reach/reach.ts';

export async function reachPage(node: Node): Promise<ReachPage> {
  return reachOf(node).matrix();
}

/** Throws where there is nothing to send echoes from. */
export function reachOf({ reach, phase, config }: Node): Reach {
  if (reach) return reach;
  if (phase !== '') throw new Error(`the daemon is still starting (${phase})`);
  const type = config?.backend.type;
  throw new Error(`the backend ${type} has no device of its own to send echoes from`);
}
