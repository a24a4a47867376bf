/** weft cluster check: all nodes of the cluster, as this one sees them. */
import type { Command } from 'commander';
import { gatherCluster } from '../cluster/gather.ts';
import { clusterShape, isBroken } from '../cluster/model.ts';
import { renderCluster } from '../cluster/render.ts';
import { addShow, type OnExit } from '../show.ts';

const HELP = `Echoes go to every node: a small one, and one as large as pods may send. Version and MTU are what each weft says of itself.
Exit code 1 when a node is unreachable from here or from another node, loses large packets, or has a lease that can't be used,
and when no other node could be tried.`;

export function addCluster(program: Command, onExit: OnExit): void {
  const cluster = program.command('cluster').description('all nodes of the cluster').exitOverride();
  addShow(cluster, onExit, {
    name: 'check',
    description:
      'every node of the cluster: subnet, version, MTU, round trip, and whether it is reached',
    help: HELP,
    shape: clusterShape,
    answer: ({ adminSocket }) => gatherCluster(adminSocket),
    render: renderCluster,
    exitCode: (answer) => (isBroken(answer) ? 1 : 0),
  });
}
