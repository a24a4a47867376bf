/* Tunnel GSO (tunnel.c): the helper TAP that takes encapsulated super-packets whole, and the probe that watches what leaves. */
#ifndef WEFT_TUNNEL_H
#define WEFT_TUNNEL_H

#include "rows.h"

/* Bytes of Ethernet, IP and UDP header in front of the encapsulation header of a ROW_GSO_TUNNEL row. */
int tunnel_outer_bytes(int family);
/* Opens one queue of a TAP that takes tunnel GSO (Linux 6.17). fd or -errno (EINVAL: the kernel can't). */
int tunnel_open(const char *name);

struct tunnel_packet {
  uint8_t *bytes; /* from the outer Ethernet header */
  int length;
  int gso_type; /* inner: TCP or UDP, with the ECN flag */
  int gso_size;
  int inner_ip, inner_transport, header_bytes; /* offsets from bytes; header_bytes up to the payload */
  int checksum_offset;
};
/* Hands an encapsulated super-packet to the host, which routes it out unsegmented. 0 or -errno. */
int tunnel_write(const struct link *link, const struct tunnel_packet *packet);

/* A packet socket that sees what leaves through an interface with this mark: the IPv4 identification or the IPv6 flow label.
 * fd or -errno. */
int tunnel_probe_open(int family, int interface_index, uint16_t mark);
/* The same for VXLAN over IPv4 with TCP over IPv4 in it, by the TCP source port. */
int tunnel_probe_open_inner(int interface_index, uint16_t source_port);
/* True once a marked packet has left. */
bool tunnel_probe_seen(int fd);

#endif
