import { VXLAN_ENCAP_BYTES } from './vxlan.ts';

/** Outer IP header and UDP header. */
const OUTER_BYTES = { 4: 20 + 8, 6: 40 + 8 } as const;
/** Between the outer UDP header and the pod's packet: VXLAN (RFC 7348) has an inner Ethernet header too, flannel-UDP nothing. */
const INNER_BYTES = { vxlan: VXLAN_ENCAP_BYTES, udp: 0 } as const;

/** Bytes that an encapsulation puts in front of a pod's packet, outer IP header included. */
export function overheadBytes(encapsulation: keyof typeof INNER_BYTES, family: 4 | 6): number {
  return OUTER_BYTES[family] + INNER_BYTES[encapsulation];
}
