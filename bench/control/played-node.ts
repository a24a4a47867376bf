/** Nodes that don't exist, as flanneld annotates them. */
import type { NodeWish } from '../../lab/kubernetes/admin.ts';
import { PREFIX } from '../../lab/kubernetes/board.ts';

/** The i-th, up to 32,767: a /24 from 10.128.0.0 on, an address of the benchmarking range (RFC 2544). */
export function playedNode(i: number): [name: string, wish: Required<NodeWish>] {
  const hex = (byte: number): string => (byte & 255).toString(16).padStart(2, '0');
  const podCIDR = `10.${128 + (i >> 8)}.${i & 255}.0/24`;
  const vtepMac = `02:00:00:00:${hex(i >> 8)}:${hex(i)}`;
  const annotations = {
    [`${PREFIX}backend-data`]: `{"VNI":1,"VtepMAC":"${vtepMac}"}`,
    [`${PREFIX}backend-type`]: 'vxlan',
    [`${PREFIX}kube-subnet-manager`]: 'true',
    [`${PREFIX}public-ip`]: `198.18.${i >> 8}.${i & 255}`,
  };
  return [`played-${i}`, { podCIDR, podCIDRs: [podCIDR], annotations }];
}
