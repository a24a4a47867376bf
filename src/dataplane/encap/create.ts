/** The encapsulation that a worker's task names. */
import type { LinkTask, WorkerTask } from '../../memory/worker-task.ts';
import type { Encap } from './encap.ts';
import { FlannelUdpEncap } from './flannel-udp.ts';
import { VxlanEncap } from './vxlan.ts';

export function createEncap(encap: WorkerTask['encap'], link: LinkTask): Encap {
  return encap.kind === 'vxlan'
    ? new VxlanEncap(encap.vni, encap.port, link.ownMac, encap.gbp)
    : new FlannelUdpEncap(encap.port);
}
