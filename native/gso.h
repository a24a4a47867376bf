/*
 * The numbers of segmentation offload, once: what a row's gso column and a vnet header carry (GSO and GSO_FLAG of
 * layout.ts), what a TUN is asked for. Linux values, spelled out where C libraries have older headers.
 */
#ifndef WEFT_GSO_H
#define WEFT_GSO_H

#include <linux/if_tun.h>
#include <linux/virtio_net.h>

/* gso_type of struct virtio_net_hdr, the low byte of ROW_GSO. */
enum weft_gso {
  GSO_NONE = VIRTIO_NET_HDR_GSO_NONE,
  GSO_TCP4 = VIRTIO_NET_HDR_GSO_TCPV4,
  GSO_TCP6 = VIRTIO_NET_HDR_GSO_TCPV6,
  GSO_UDP_L4 = 5,         /* VIRTIO_NET_HDR_GSO_UDP_L4, Linux 6.2 */
  GSO_TUNNEL_IPV4 = 0x20, /* VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV4 and _IPV6, Linux 6.17 */
  GSO_TUNNEL_IPV6 = 0x40,
  GSO_ECN = VIRTIO_NET_HDR_GSO_ECN
};

/* flags of struct virtio_net_hdr, the second byte of ROW_GSO. */
enum weft_vnet_flag {
  VNET_NEEDS_CSUM = VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VNET_DATA_VALID = VIRTIO_NET_HDR_F_DATA_VALID,
  VNET_TUNNEL_CSUM = 8 /* VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM, Linux 6.17 */
};

/* The same as bits of ROW_GSO. */
enum weft_gso_flag {
  GSO_FLAG_NEEDS_CSUM = VNET_NEEDS_CSUM << 8,
  GSO_FLAG_DATA_VALID = VNET_DATA_VALID << 8,
  GSO_FLAG_TUNNEL_CSUM = VNET_TUNNEL_CSUM << 8
};

/* Most datagrams of one message or super-packet: UDP_MAX_SEGMENTS of older kernels (newer ones take 128). */
#define UDP_SEGMENTS_MAX 64

/* Bits of TUNSETOFFLOAD. */
#define OFFLOAD_TSO (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6)
#define OFFLOAD_USO (0x20 | 0x40)     /* TUN_F_USO4 and USO6, Linux 6.2 */
#define OFFLOAD_TUNNEL (0x80 | 0x100) /* TUN_F_UDP_TUNNEL_GSO and _GSO_CSUM, Linux 6.17 */

#endif
