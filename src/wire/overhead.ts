/**
 * Bytes that an overlay puts in front of a pod's packet, outer IP header included: VXLAN (RFC 7348) with an inner Ethernet header over
 * UDP and IPv4 50, over IPv6 70; flannel-UDP, which is IPv4 only, 28.
 */
export function overheadBytes(backend: string, family: 4 | 6): number {
  if (backend === 'udp') return 28;
  return family === 4 ? 50 : 70;
}
