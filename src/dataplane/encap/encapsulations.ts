/** The encapsulations, by the kind that a worker's task names. A new one is a file beside these and a line in the table. */
import type { EncapTask, LinkTask } from '../../memory/worker-task.ts';
import type { RouteTable } from '../routes/table.ts';
import type { Encap } from './encap.ts';
import { FlannelUdpEncap } from './flannel-udp.ts';
import { VxlanEncap } from './vxlan.ts';

type CreateEncap<T> = (task: T, link: LinkTask, table: RouteTable) => Encap;

/** How to make one, for each kind of the tasks `T`. */
export type Encapsulations<T extends { kind: string }> = {
  readonly [K in T['kind']]: CreateEncap<Extract<T, { kind: K }>>;
};

export const ENCAPSULATIONS: Encapsulations<EncapTask> = {
  vxlan: (task, link, table) => new VxlanEncap(task, link, table),
  udp: (task, link, table) => new FlannelUdpEncap(task, link, table),
};

export function createEncap<T extends { kind: string }>(
  encapsulations: Encapsulations<T>,
  task: T,
  link: LinkTask,
  table: RouteTable,
): Encap {
  const create = encapsulations[task.kind as T['kind']] as CreateEncap<T>;
  return create(task, link, table);
}
