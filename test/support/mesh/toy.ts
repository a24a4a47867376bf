/** A mesh whose nodes speak the toy encapsulation. */
import type { EncapTask } from '../../../src/memory/worker-task.ts';
import { TOY_ENCAPSULATIONS, type ToyTask } from '../toy-encap.ts';
import type { MeshOptions } from './mesh.ts';
import { UNDERLAY_PORT } from './underlay.ts';

/** The index that `node` gave to `peer`: what the peer's datagrams to it begin with. */
export function indexOf(node: number, peer: number): number {
  return 1000 * node + peer;
}

export function toyOf(
  nodes: number,
): Pick<MeshOptions<EncapTask | ToyTask>, 'nodes' | 'encapsulations' | 'encapOf' | 'macOf'> {
  const numbers = Array.from({ length: nodes }, (_, i) => i + 1);
  return {
    nodes,
    encapsulations: TOY_ENCAPSULATIONS,
    encapOf: (node) => {
      const peers = numbers.filter((number) => number !== node);
      const indexes = peers.map((peer) => indexOf(node, peer));
      return { kind: 'toy', port: UNDERLAY_PORT, indexes };
    },
    macOf: (node, peer) => ({ high: indexOf(peer.number, node), low: 0 }),
  };
}
