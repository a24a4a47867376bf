/** A mesh whose nodes speak the toy encapsulation. */

import {
  ENCAPSULATIONS,
  type Encapsulations,
} from '../../../src/dataplane/encap/encapsulations.ts';
import type { EncapTask } from '../../../src/memory/worker-task.ts';
import { SealedToyEncap } from '../sealed-toy-encap.ts';
import { ToyEncap } from '../toy-encap.ts';
import type { ToyTask } from '../toy-task.ts';
import type { MeshOptions } from './mesh.ts';
import { UNDERLAY_PORT } from './underlay.ts';

const TOY_ENCAPSULATIONS: Encapsulations<EncapTask | ToyTask> = {
  ...ENCAPSULATIONS,
  toy: (task, _link, table) => new (task.isSealed ? SealedToyEncap : ToyEncap)(task, table),
};

/** The index that `node` gave to `peer`: what the peer's datagrams to it begin with. */
export function indexOf(node: number, peer: number): number {
  return 1000 * node + peer;
}

/** `isSealed`: encrypted by the test seal, which only the sanitizer build has. */
export function toyOf(
  nodes: number,
  isSealed = false,
): Pick<MeshOptions<EncapTask | ToyTask>, 'nodes' | 'encapsulations' | 'encapOf' | 'macOf'> {
  const numbers = Array.from({ length: nodes }, (_, i) => i + 1);
  return {
    nodes,
    encapsulations: TOY_ENCAPSULATIONS,
    encapOf: (node) => {
      const peers = numbers.filter((number) => number !== node);
      const indexes = peers.map((peer) => indexOf(node, peer));
      return { kind: 'toy', port: UNDERLAY_PORT, indexes, isSealed };
    },
    macOf: (node, peer) => ({ high: indexOf(peer.number, node), low: 0 }),
  };
}
