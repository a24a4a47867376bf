/* One super-packet (super.c): what its headers say, and the headers of each segment cut from it. segment.c cuts. */
#ifndef WEFT_SUPER_H
#define WEFT_SUPER_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "checksum.h"
#include "packet.h"

#define SUPER_HEADER_MAX 192 /* encapsulation, IP and transport header */
#define SUPER_SEGMENTS_MAX 512

struct super {
  bool v4, tcp;
  int ip; /* offsets in the header block: inner IP header, transport header */
  int transport;
  int header_bytes;
  uint8_t *payload;
  int payload_bytes;
  int segment_bytes; /* payload of every segment but the last */
  unsigned id;       /* fields that differ per segment are zero in the block and its sums */
  uint32_t sequence;
  unsigned flags;
  uint32_t ip_sum;
  uint32_t transport_sum; /* with the pseudo header, without its length */
  uint8_t block[SUPER_HEADER_MAX];
};

/* Reads the packet of a row with this gso type (without GSO_ECN); the row's bounds have been checked. False: its fields do not fit it. */
bool super_parse(struct super *p, const int32_t *row, uint8_t *packet, int type);
/* Fills the block: the headers common to all segments, with zeros where they differ, and the sums over them. */
void super_prepare(struct super *p, const uint8_t *packet);
/* ---- one segment: inline, because it is done for each ---- */

static inline void super_write_ip(const struct super *p, uint8_t *ip, int index, unsigned ip_bytes) {
  if (!p->v4) {
    store_be16(ip + IP6_LENGTH_AT, ip_bytes - IP6_HEADER);
    return;
  }
  unsigned id = (p->id + (unsigned)index) & 0xffff;
  store_be16(ip + IP4_LENGTH_AT, ip_bytes);
  store_be16(ip + IP4_ID_AT, id);
  store_be16(ip + IP4_CHECKSUM_AT, (uint16_t)~checksum_narrow(p->ip_sum + ip_bytes + id));
}

static inline void super_write_transport(const struct super *p, uint8_t *transport, int at, int slice) {
  unsigned transport_bytes = (unsigned)(p->header_bytes - p->transport + slice);
  uint32_t sum = p->transport_sum + transport_bytes + checksum_fold(p->payload + at, (size_t)slice, 0);
  if (!p->tcp) {
    store_be16(transport + UDP_LENGTH_AT, transport_bytes);
    store_be16(transport + UDP_CHECKSUM_AT, checksum_finish(sum + transport_bytes));
    return;
  }
  uint32_t sequence = p->sequence + (uint32_t)at;
  unsigned flags = p->flags;
  if (at > 0) flags &= ~(unsigned)TCP_FLAG_CWR;
  if (at + slice < p->payload_bytes) flags &= ~(unsigned)(TCP_FLAG_FIN | TCP_FLAG_PSH);
  store_be32(transport + TCP_SEQUENCE_AT, sequence);
  transport[TCP_FLAGS_AT] = (uint8_t)flags;
  sum += (sequence >> 16) + (sequence & 0xffff) + flags;
  store_be16(transport + TCP_CHECKSUM_AT, checksum_finish(sum));
}

/* Writes header_bytes to `block`: the headers of segment `index`, whose payload is `slice` bytes from `at` on. */
static inline void super_write_block(const struct super *p, uint8_t *block, int index, int at, int slice) {
  memcpy(block, p->block, (size_t)p->header_bytes);
  super_write_ip(p, block + p->ip, index, (unsigned)(p->header_bytes - p->ip + slice));
  super_write_transport(p, block + p->transport, at, slice);
}

#endif
