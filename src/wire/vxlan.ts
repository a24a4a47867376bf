/** VXLAN over UDP with the inner Ethernet header (RFC 7348), in the exact form that kernel VXLAN sends and accepts. */

/** VXLAN header and inner Ethernet header. */
export const VXLAN_ENCAP_BYTES = 8 + 14;

/** Only the I flag set; kernel VXLAN refuses any other bit. */
export const VXLAN_FLAGS = 0x08000000;

/** Group policy extension: G, D and A flags and the policy id (draft-smith-vxlan-group-policy). */
export const VXLAN_GBP_BITS = 0x8048ffff | 0;

export const ETHERTYPE = { ipv4: 0x0800, ipv6: 0x86dd } as const;

/** Offsets from the first byte of the UDP payload. */
export const VXLAN = {
  flags: 0,
  vniAndReserved: 4,
  destinationMac: 8,
  sourceMac: 14,
  etherType: 20,
} as const;
