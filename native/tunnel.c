/*
 * Tunnel GSO through a helper TAP (Linux 6.17): an encapsulated super-packet is handed to the host whole; the host routes it out
 * and the device segments it, or nobody does. Stages: open the TAP, write a packet, watch whether a marked one really left.
 */
#include "tunnel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "gso.h"
#include "packet.h"

/* struct virtio_net_hdr_v1_hash_tunnel */
struct tunnel_header {
  struct virtio_net_hdr inner;
  uint16_t buffers, hash_low, hash_high, hash_report, padding;
  uint16_t outer_transport; /* from the frame's first byte */
  uint16_t inner_network;
};
_Static_assert(sizeof(struct tunnel_header) == 24, "vnet header with tunnel fields");

_Static_assert(ETH_HLEN + IP6_HEADER + UDP_HEADER < SLOT_HEADROOM, "outer headers fit the headroom");

static int ip_bytes(int family) { return family == AF_INET ? IP4_HEADER : IP6_HEADER; }

int tunnel_outer_bytes(int family) { return ETH_HLEN + ip_bytes(family) + UDP_HEADER; }

/* ---- the TAP ---- */

static int attach(int fd, const char *name) {
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE};
  memcpy(request.ifr_name, name, strlen(name));
  int header_bytes = sizeof(struct tunnel_header);
  unsigned long offloads = OFFLOAD_TSO | OFFLOAD_USO | OFFLOAD_TUNNEL;
  if (ioctl(fd, TUNSETIFF, &request) < 0) return -errno;
  if (ioctl(fd, TUNSETVNETHDRSZ, &header_bytes) < 0) return -errno;
  return ioctl(fd, TUNSETOFFLOAD, offloads) < 0 ? -errno : 0;
}

int tunnel_open(const char *name) {
  if (strlen(name) >= IFNAMSIZ) return -ENAMETOOLONG;
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return -errno;
  int error = attach(fd, name);
  if (error == 0) return fd;
  close(fd);
  return error;
}

int tunnel_write(const struct link *link, const struct tunnel_packet *p) {
  bool v4 = link->family == AF_INET;
  struct tunnel_header header = {
      .inner = {.flags = VNET_NEEDS_CSUM | VNET_TUNNEL_CSUM,
                .gso_type = (uint8_t)(p->gso_type | (v4 ? GSO_TUNNEL_IPV4 : GSO_TUNNEL_IPV6)),
                .hdr_len = (uint16_t)p->header_bytes,
                .gso_size = (uint16_t)p->gso_size,
                .csum_start = (uint16_t)p->inner_transport,
                .csum_offset = (uint16_t)p->checksum_offset},
      .outer_transport = (uint16_t)(ETH_HLEN + ip_bytes(link->family)),
      .inner_network = (uint16_t)p->inner_ip,
  };
  struct iovec parts[2] = {{&header, sizeof header}, {p->bytes, (size_t)p->length}};
  while (writev(link->tap_fd, parts, 2) < 0) {
    if (errno != EINTR) return -errno;
  }
  return 0;
}

/* ---- the probe ---- */

/* A packet socket that sees what passes the filter; offsets in it count from the IP header. */
static int watch_packets(int interface_index, struct sock_filter *code, size_t bytes) {
  struct sock_fprog filter = {(unsigned short)(bytes / sizeof *code), code};
  struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = interface_index};
  /* Protocol 0: sees nothing before the filter is on. */
  int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) == 0 &&
      bind(fd, (struct sockaddr *)&at, sizeof at) == 0) {
    return fd;
  }
  int error = -errno;
  close(fd);
  return error;
}

int tunnel_probe_open(int family, int interface_index, uint16_t mark) {
  /* Identification of a UDP packet, or version, class 0 and flow label. */
  struct sock_filter v4[] = {
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 4), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, mark, 0, 3),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 64),         BPF_STMT(BPF_RET | BPF_K, 0)};
  struct sock_filter v6[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
                             BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x60000000u | mark, 0, 1),
                             BPF_STMT(BPF_RET | BPF_K, 64), BPF_STMT(BPF_RET | BPF_K, 0)};
  return family == AF_INET ? watch_packets(interface_index, v4, sizeof v4)
                           : watch_packets(interface_index, v6, sizeof v6);
}

/* IPv4, UDP, VXLAN and inner Ethernet in front of an inner IPv4 packet. */
#define INNER_IP (IP4_HEADER + UDP_HEADER + 8 + ETH_HLEN)

int tunnel_probe_open_inner(int interface_index, uint16_t source_port) {
  struct sock_filter code[] = {BPF_STMT(BPF_LD | BPF_H | BPF_ABS, INNER_IP + IP4_HEADER),
                               BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, source_port, 0, 5),
                               BPF_STMT(BPF_LD | BPF_B | BPF_ABS, INNER_IP + 9),
                               BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 3),
                               BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),
                               BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 1),
                               BPF_STMT(BPF_RET | BPF_K, 64),
                               BPF_STMT(BPF_RET | BPF_K, 0)};
  return watch_packets(interface_index, code, sizeof code);
}

bool tunnel_probe_seen(int fd) {
  uint8_t bytes[64];
  struct sockaddr_ll from = {0};
  socklen_t from_bytes = sizeof from;
  while (recvfrom(fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&from, &from_bytes) >= 0) {
    if (from.sll_pkttype == PACKET_OUTGOING) return true;
  }
  return false;
}
