/*
 * What segment.c hands to udp.c: messages, each up to 64 datagrams of one size to one far end (the last may be shorter).
 * The kernel sees only the byte stream of the iovecs, so a datagram may be a header block plus a slice of the pool.
 */
#ifndef WEFT_MESSAGE_H
#define WEFT_MESSAGE_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "gso.h"
#include "layout.h"

#define MESSAGE_DATAGRAMS UDP_SEGMENTS_MAX
#define MESSAGE_BYTES 65507 /* 65535 less IPv4 and UDP headers */
#define MESSAGES_MAX 128    /* per flush */

struct message {
  struct iovec parts[2 * MESSAGE_DATAGRAMS]; /* datagram borders are part borders */
  int part_count;
  int datagram_count;
  int datagram_bytes; /* of all but the last */
  int bytes;
  int peer;
  int socket;
  int tos;
  int32_t far_end[5];              /* ROW_PORT and ROW_ADDRESS */
  uint8_t rows[MESSAGE_DATAGRAMS]; /* the tun_in row of each datagram */
  socklen_t to_bytes;
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  } to;
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(int))];
};

_Static_assert(TUN_IN_ROWS <= UINT8_MAX + 1, "the index of a tun_in row fits message.rows");
_Static_assert(sizeof(((struct message *)0)->far_end) == (ROW_INTS - ROW_PORT) * sizeof(int32_t),
               "the far end of a row");

/* Scratch of one flush: one mmsghdr per message of a socket, in order. */
struct outbox {
  struct mmsghdr headers[MESSAGES_MAX];
  struct message *messages[MESSAGES_MAX];
};

#endif
