/** Other people's userspace overlays, from Debian's archive. */
import { fastd } from './fastd.ts';
import { n2n } from './n2n.ts';
import { nebula } from './nebula.ts';
import { openvswitch } from './openvswitch.ts';
import type { Plane } from './plane.ts';
import { wireguardGo, wireguardGoTrixie } from './wireguard-go.ts';

export const foreignPlanes: Plane[] = [
  fastd,
  openvswitch,
  wireguardGo,
  wireguardGoTrixie,
  nebula,
  n2n,
];
