/* The underlay sockets (udp.c): opens them or takes them over; messages out, datagrams in. */
#ifndef WEFT_UDP_H
#define WEFT_UDP_H

#include "message.h"
#include "rows.h"

struct udp_options {
  int family;
  const uint8_t *address; /* 4 or 16 bytes, network order */
  uint16_t port;          /* 0 = ephemeral */
  bool reuse_port;
  bool gro;
  bool dont_fragment; /* false: IP_PMTUDISC_DONT, outer DF clear as kernel VXLAN; true: the kernel's default (DF set) */
  int buffer_bytes;   /* SO_RCVBUF/SO_SNDBUF, FORCE variants first; 0 = leave */
};
/* Non-blocking, close-on-exec, IPV6_V6ONLY, TOS/TCLASS reported on receive. fd or -errno.
 * *gro_granted shows whether UDP_GRO was set and read back; *failed_call names the system call behind a -errno. */
int udp_open(const struct udp_options *options, bool *gro_granted, const char **failed_call);
/* Takes over a bound socket and sets its options as udp_open would have. 0 or -errno (EINVAL: it is not such a socket); the
 * descriptor stays the caller's either way. */
int udp_adopt(int fd, const struct udp_options *options, bool *gro_granted);
/* Which of the sockets that share this one's port gets a datagram, in the order in which they were bound: those of the workers get even
 * source ports, as many behind them odd ones; of either, worker number (port / 2) modulo `workers`. Where such a socket is missing, and
 * without this, the kernel spreads flows by a hash. It holds for as long as any of the sockets is open. An IPv6 header has no extensions
 * here. 0 or -errno. */
int udp_spread_by_port(int fd, int family, int workers);
/* Takes that back. 0 or -errno. */
int udp_spread_by_hash(int fd);
/* Room for datagrams that wait. */
void udp_receive_buffer(int fd, int bytes);
/* The port a socket is bound to, or -errno. */
int udp_port(int fd);

/* Sends all messages, grouped by socket, in order within a socket. A row that could not be sent whole gets ROW_RESULT.
 * Clears FEATURE_UDP_GSO of the link when its device cannot do it. */
void udp_flush(struct engine *e, struct link *link, struct outbox *out, struct message *messages, int count);

/* 0 or -errno. */
int receiver_create(struct engine *e);
void receiver_destroy(struct engine *e);
/* Receives up to UDP_IN_ROWS messages (1 without FEATURE_BATCH) into slots TUN_IN_ROWS.., at SLOT_HEADROOM, and fills their
 * udp_in rows: offset, length, gso_size (UDP_GRO control message, else 0), tos, port, address, result (EMSGSIZE if
 * truncated). Stops early after about 256 KiB when it can. Number of rows, or -errno. */
int udp_receive(struct engine *e, int link);
/* Writes STAT_UDP_SOCKET_DROPS; one system call per link, so not for every batch. */
void udp_count_drops(struct engine *e);

#endif
