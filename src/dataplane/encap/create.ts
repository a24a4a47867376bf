/** The encapsulation that a worker's task names. */
import type { EncapTask, LinkTask } from '../../memory/worker-task.ts';
import type { Encap } from './encap.ts';
import { FlannelUdpEncap } from './flannel-udp.ts';
import { VxlanEncap } from './vxlan.ts';

export function createEncap(encap: EncapTask, link: LinkTask): Encap {
  switch (encap.kind) {
    case 'vxlan':
      return new VxlanEncap(encap.vni, encap.port, link.ownMac, encap.gbp);
    case 'udp':
      return new FlannelUdpEncap(encap.port);
  }
}
