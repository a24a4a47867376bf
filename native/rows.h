/*
 * What every file of the engine works on: the rows and slots that TypeScript allocated (layout.h), the links, and the engine
 * that holds them. No functions but the look at one row: what moves packets stands in the header of its own file.
 */
#ifndef WEFT_ROWS_H
#define WEFT_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layout.h"

struct seal;      /* seal.h: encrypts a link's datagrams */
struct segmenter; /* segment.c: open messages, header and iovec arenas */
struct coalescer; /* coalesce.c: open groups, header and iovec arenas */
struct receiver;  /* udp.c: mmsghdr array of the receive side */

struct link {
  int family; /* AF_INET or AF_INET6: of the underlay */
  int tun_fd;
  int udp_fd; /* receiving socket */
  int tap_fd; /* helper TAP for FEATURE_TUNNEL_GSO, or -1 */
  int send_fds[SEND_SOCKETS_MAX];
  int send_fd_count;
  int batch_bytes;   /* a receive ends behind so many */
  uint32_t features; /* FEATURE_* */
  struct seal *seal; /* NULL: the datagrams go in clear */
};

struct engine {
  uint8_t *pool;
  size_t pool_bytes;
  int32_t *tun_in;          /* TUN_IN_ROWS rows */
  int32_t *udp_in;          /* UDP_IN_ROWS rows */
  int32_t *tun_out;         /* TUN_OUT_ROWS rows */
  double *stats;            /* STAT_COUNT doubles */
  int32_t *clock;           /* two words: CLOCK_MONOTONIC in ms, and the ns within; written by engine_wait */
  int64_t spin_again_ns;    /* CLOCK_MONOTONIC before which a wait does not spin */
  int32_t drops_counted_ms; /* clock when the sockets were last asked for their drops */
  struct link links[LINKS_MAX];
  int link_count;
  int epoll_fd;
  int wake_fd;
  struct segmenter *segmenter;
  struct coalescer *coalescer;
  struct receiver *receiver;
};

static inline int32_t *row_at(int32_t *rows, int index) { return rows + (size_t)index * ROW_INTS; }

/* Where slot `index` of the pool keeps its packet; SLOT_HEADROOM bytes lie in front. */
static inline int32_t slot_offset(int index) { return index * SLOT_STRIDE + SLOT_HEADROOM; }

/* True when the row's bytes lie in the pool and its length is in 1..SLOT_HEADROOM + SLOT_PAYLOAD. */
static inline bool row_in_pool(const struct engine *e, const int32_t *row) {
  int64_t offset = row[ROW_OFFSET], length = row[ROW_LENGTH];
  return offset >= 0 && length > 0 && length <= SLOT_HEADROOM + SLOT_PAYLOAD &&
         offset + length <= (int64_t)e->pool_bytes;
}

#endif
