/** Asks the daemon for what weft cluster check shows. */
import type { ReachNode, ReachPage } from '../../api/reach.ts';
import { WeftError } from '../../shared/errors.ts';
import { packetBytes } from '../link-test/path-mtu.ts';
import { peersShape, upShape } from '../pages.ts';
import { fetchEcho, fetchReach } from '../ping/page.ts';
import { fetchShape } from '../show.ts';
import { type ClusterAnswer, clusterOf } from './model.ts';

/** Nodes that are tried at the same time. */
const AT_ONCE = 16;
const TIMEOUT_MS = 500;
/** A lost packet must not pass for one that was too large. */
const TRIES = 3;

export async function gatherCluster(socket: string): Promise<ClusterAnswer> {
  const { backend, mtu } = await fetchShape(
    socket,
    '/status',
    upShape.pick({ backend: true, mtu: true }),
  );
  const reach = await fetchReach(socket);
  const { skipped = [] } = await fetchShape(socket, '/peers', peersShape);
  const largest = await tryLargest(socket, reach, mtu);
  return clusterOf({ backend, reach, skipped, largest });
}

/**
 * By key of nodes that answer small packets: whether a packet that pods of both ends may send comes back. null: the daemon refused to send
 * it, as to a node that has left meanwhile; that says nothing of the others.
 */
async function tryLargest(
  socket: string,
  { nodes, cells }: ReachPage,
  ownMtu: number,
): Promise<Map<string, boolean | null>> {
  const self = nodes.find((node) => node.self)?.key;
  const answers = new Set(
    cells.flatMap(({ from, to, state }) => (from === self && state === 'ok' ? to : [])),
  );
  const rest = nodes.filter(({ key }) => answers.has(key));
  const found = new Map<string, boolean | null>();
  const work = async (): Promise<void> => {
    for (let node = rest.shift(); node !== undefined; node = rest.shift()) {
      const mtu = Math.min(ownMtu, node.mtu ?? ownMtu);
      found.set(node.key, await crosses(socket, node, mtu).catch(nullIfRefused));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return found;
}

function nullIfRefused(error: unknown): null {
  if (error instanceof WeftError && error.code === 'ERR_ANSWER') return null;
  throw error;
}

async function crosses(socket: string, { key, subnet }: ReachNode, mtu: number): Promise<boolean> {
  const family = subnet.includes(':') ? 6 : 4;
  const size = mtu - packetBytes(0, family);
  for (let i = 0; i < TRIES; i++) {
    const [echo] = (await fetchEcho(socket, { key, family, size, timeoutMs: TIMEOUT_MS })).echoes;
    if (echo?.state === 'answered') return true;
  }
  return false;
}
